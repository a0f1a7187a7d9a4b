// Light and dark. The colours are the style sheet's; charts, which are drawn and not styled, ask it for them.

type Theme = "light" | "dark";

const KEPT = "sluice.theme";

const listeners = new Set<() => void>();

function isTheme(value: string | null): value is Theme {
  return value === "light" || value === "dark";
}

/** A browser may forbid to keep things. */
function kept(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(theme: Theme): void {
  try {
    localStorage.setItem(KEPT, theme);
  } catch {
    // It is for this page only, then.
  }
}

const prefersDark = () => matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme {
  const asked = new URLSearchParams(location.search).get("theme");
  if (isTheme(asked)) return asked;
  const before = kept();
  if (isTheme(before)) return before;
  return prefersDark().matches ? "dark" : "light";
}

function apply(theme: Theme): void {
  if (document.documentElement.dataset["theme"] === theme) return;
  document.documentElement.dataset["theme"] = theme;
  for (const listener of listeners) listener();
}

export function beginTheme(): void {
  apply(chosen());
  prefersDark().addEventListener("change", () => { apply(chosen()); });
}

/** Changes to the other theme, which is remembered. */
export function toggleTheme(): void {
  const theme: Theme = document.documentElement.dataset["theme"] === "dark" ? "light" : "dark";
  keep(theme);
  const url = new URL(location.href);
  url.searchParams.delete("theme");
  history.replaceState(null, "", url);
  apply(theme);
}

/** Calls back after each change. */
export function onTheme(listener: () => void): void {
  listeners.add(listener);
}

/** The colour of this name in the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The number of colours that tell series apart. */
const SERIES = 8;

export function seriesColour(place: number): string {
  return colour(`series-${(place % SERIES) + 1}`);
}

/** Pixels of the page's unit of type. */
export function rem(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}

export function fontFamily(): string {
  return getComputedStyle(document.body).fontFamily;
}
