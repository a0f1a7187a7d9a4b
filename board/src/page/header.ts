// The head of a page: its title, the host's clock, whether it is live, and what a person can switch.
import { button, el, setAttribute, setText } from "../dom";
import { Zone } from "../format";
import { lang } from "../lang";
import { toggleTheme } from "../theme";
import { say } from "../words";
import { toggleKiosk } from "./kiosk";

export class Header {
  readonly element: HTMLElement;
  readonly #title = el("h1");
  readonly #clock = el("time", { class: "clock" });
  readonly #live = el("p", { class: "live", role: "status" }, say("connecting"));
  readonly #places = el("nav", { class: "places", "aria-label": say("boards") });

  constructor() {
    const tools = el("div", { class: "tools" },
      button({ title: say("theme"), "aria-label": say("theme"), class: "tool tool-theme" }, "◐", toggleTheme),
      button({ title: say("kiosk"), "aria-label": say("kiosk"), class: "tool" }, "⛶", toggleKiosk),
      languageLink(),
    );
    this.element = el("header", { class: "page-head" }, this.#title, this.#places, tools, this.#live, this.#clock);
    document.addEventListener("keydown", onKey);
  }

  setTitle(title: string): void {
    setText(this.#title, title);
    document.title = title;
  }

  /** Links to the other pages; the present one is marked. */
  setPlaces(places: readonly { readonly href: string; readonly text: string }[]): void {
    this.#places.replaceChildren(...places.map(({ href, text }) => {
      const link = el("a", { href }, text);
      if (href === location.pathname) link.setAttribute("aria-current", "page");
      return link;
    }));
  }

  setLive(connected: boolean, since: string): void {
    setText(this.#live, connected ? say("live") : `${say("notConnectedSince")} ${since}`);
    setAttribute(this.#live, "class", connected ? "live is-live" : "live is-lost");
  }

  tick(now: number, zone: Zone): void {
    const [date = "", time = ""] = zone.dateTime(now).split(" ");
    if (this.#clock.childElementCount === 0) this.#clock.append(el("span"), el("b"), el("small"));
    const [day, clock, name] = this.#clock.children;
    if (day) setText(day, date);
    if (clock) setText(clock, time);
    if (name) setText(name, zone.name);
  }
}

function languageLink(): HTMLElement {
  const url = new URL(location.href);
  url.searchParams.set("lang", lang === "zh" ? "en" : "zh");
  return el("a", { href: url.pathname + url.search, class: "tool tool-language", hreflang: lang === "zh" ? "en" : "zh" }, say("language"));
}

function onKey(event: KeyboardEvent): void {
  const types = event.target instanceof HTMLInputElement;
  if (types || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "t") toggleTheme();
  if (event.key === "k") toggleKiosk();
}
