// The foot of a panel: how old its figures are, and of which code. Where something is wrong it says so in words.
import { button, el, setAttribute, setText } from "../dom";
import { type Zone, span } from "../format";
import { lang } from "../lang";
import type { Panel } from "../wire/board";
import { say, sayHosts } from "../words";
import type { Verdict } from "./verdict";

export class Foot {
  readonly element: HTMLElement;
  readonly #button: HTMLButtonElement;
  readonly #age = el("span", { class: "age" });
  readonly #by = el("span", { class: "by" });
  readonly #news = el("p", { class: "news", role: "status" });
  readonly #state = el("b");
  readonly #why = el("span");

  constructor(open: () => void) {
    this.#button = button({ class: "foot", "aria-haspopup": "dialog" }, "", open);
    this.#button.append(el("i", { class: "dot", "aria-hidden": "true" }), this.#age, this.#by);
    this.#news.append(this.#state, this.#why);
    this.element = el("footer", {}, this.#news, this.#button);
  }

  fill(panel: Panel, verdict: Verdict, zone: Zone): void {
    setText(this.#age, ageOf(verdict));
    setText(this.#by, makersOf(panel));
    setAttribute(this.#button, "title", say("whereFrom"));
    // Read aloud when it changes, so it has nothing that changes by itself.
    const isWrong = verdict.level === "warn" || verdict.level === "alarm";
    setText(this.#state, isWrong ? sayHosts(verdict.state) : "");
    setText(this.#why, isWrong ? newsOf(verdict, zone) : "");
  }
}

function ageOf({ age, asOf }: Verdict): string {
  if (age === null || asOf === null) return say("never");
  const text = span(age, lang);
  return lang === "zh" ? text + say("ago") : `${text} ${say("ago")}`;
}

function newsOf({ asOf, why }: Verdict, zone: Zone): string {
  const time = asOf === null ? "" : `${say("asOf")} ${zone.dateTime(asOf)}`;
  return [why, time].filter((one) => one !== "").join(" · ");
}

/** The pipelines behind it with their generations. */
function makersOf({ health }: Panel): string {
  return health.pipelines
    .map(({ name, generation }) => (generation === null ? name : `${name} #${generation}`))
    .join(" · ");
}
