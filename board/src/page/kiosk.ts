// Kiosk: the board alone, for a wall.

export function beginKiosk(): void {
  show(new URLSearchParams(location.search).get("kiosk") === "1");
}

/** Changes to kiosk and back; the address says which, so that it stays when the page is loaded again. */
export function toggleKiosk(): void {
  const kiosk = !document.body.classList.contains("kiosk");
  show(kiosk);
  const url = new URL(location.href);
  if (kiosk) url.searchParams.set("kiosk", "1");
  else url.searchParams.delete("kiosk");
  history.replaceState(null, "", url);
  // A browser may refuse; then it is without the full screen.
  if (kiosk) document.documentElement.requestFullscreen().catch(() => undefined);
  else if (document.fullscreenElement !== null) document.exitFullscreen().catch(() => undefined);
}

function show(kiosk: boolean): void {
  document.body.classList.toggle("kiosk", kiosk);
}
