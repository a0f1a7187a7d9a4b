// The page of one pipeline: what a person opens first when something is odd.
import { places } from "../board/page";
import { Clock } from "../clock";
import { button, el } from "../dom";
import { Zone, grouped } from "../format";
import { frame } from "../page/frame";
import { type Detail, type Generation, readDetail } from "../wire/pipelines";
import { fields } from "../wire/read";
import { say, sayHosts } from "../words";
import { chainElement, fillChain } from "./chain";
import { figuresElement, fillBadges, fillFigures, fillWhy } from "./figures";
import { type Verb, ask } from "./orders";
import { Rows } from "./rows";
import { Timeline } from "./timeline";

/** How often the page looks. The host has a new point of the rate each 5 s. */
const LOOKS_EVERY = 5_000;

/** First digits of a digest that tell artifacts apart. */
const SHORT_DIGEST = 12;

const UTC = new Zone("UTC");

export function pipelinePage(name: string): void {
  const { header, content, complain } = frame("pipeline");
  const clock = new Clock();
  const view = new DetailView(name, () => { void look(); });
  content.append(view.element);
  header.setTitle(name);
  let heard = clock.now();
  let isShown = false;

  const look = async () => {
    try {
      const answer = await fetch(`/api/pipelines/${encodeURIComponent(name)}`);
      const body: unknown = await answer.json();
      if (!answer.ok) {
        const { error } = fields(body);
        complain(typeof error === "string" ? error : say("noAnswer"));
        return;
      }
      const detail = readDetail(body);
      clock.set(detail.now);
      heard = detail.now;
      complain("");
      view.fill(detail);
      header.tick(clock.now(), UTC);
      isShown = true;
      header.setLive(true, "");
      view.element.classList.remove("is-old");
    } catch {
      header.setLive(false, UTC.time(heard));
      view.element.classList.toggle("is-old", isShown);
    }
  };
  void look();
  setInterval(() => { void look(); }, LOOKS_EVERY);
  setInterval(() => { header.tick(clock.now(), UTC); }, 1_000);
  void places("").then((links) => { header.setPlaces(links); });
}

class DetailView {
  readonly element: HTMLElement;
  readonly #name: string;
  readonly #again: () => void;
  readonly #badges = el("ul", { class: "badges" });
  readonly #why = el("p", { class: "why" });
  readonly #chain = chainElement();
  readonly #figures = figuresElement();
  readonly #timeline = new Timeline();
  readonly #noRates = el("p", { class: "quiet" }, say("noRates"));
  readonly #generations = new Rows([say("generation"), say("time"), say("outcome"), say("operators"), ""], say("never"), "generations");
  readonly #rejected = new Rows([say("reason"), say("count"), say("sample")], say("nothingRejected"), "rejected");
  readonly #letters = new Rows([say("place"), say("count"), say("sample")], say("noLetters"), "letters");
  readonly #log = new Rows([say("time"), say("level"), say("line")], say("noLines"), "log");
  readonly #pin: HTMLButtonElement;
  readonly #unpin: HTMLButtonElement;
  readonly #retry: HTMLButtonElement;

  constructor(name: string, again: () => void) {
    this.#name = name;
    this.#again = again;
    this.#pin = this.#order("pin", say("confirmPin"));
    this.#unpin = this.#order("unpin", say("confirmUnpin"));
    this.#retry = this.#order("retry", say("confirmRetry"));
    const orders = el("div", { class: "orders" }, this.#order("rollback", say("confirmRollback")), this.#pin, this.#unpin, this.#retry);
    const part = (title: string, kind: string, ...content: Node[]) =>
      el("section", { class: `card part-${kind}` }, el("h2", {}, title), ...content);
    this.element = el("div", { class: "detail" },
      el("section", { class: "card part-chain" },
        el("header", {}, el("a", { href: "/pipelines", class: "back" }, `← ${say("allPipelines")}`), this.#badges, orders),
        this.#why, this.#chain, this.#figures),
      part(say("timeline"), "timeline", this.#noRates, this.#timeline.element),
      part(say("history"), "generations", this.#generations.element),
      part(say("rejected"), "rejected", this.#rejected.element),
      part(say("deadLetters"), "letters", this.#letters.element),
      part(say("log"), "log", this.#log.element),
    );
  }

  fill(detail: Detail): void {
    const { pipeline, rates, letters } = detail;
    fillBadges(this.#badges, { ...pipeline, pinned: detail.pinned });
    fillWhy(this.#why, pipeline);
    fillChain(this.#chain, pipeline.chain, (pipeline.rate ?? 0) > 0);
    fillFigures(this.#figures, pipeline, detail.now);
    this.#pin.hidden = detail.pinned;
    this.#unpin.hidden = !detail.pinned;
    this.#retry.hidden = !hasLetters(detail);
    // One point makes no line.
    const hasRates = rates.filter(({ rate }) => rate !== null).length > 1;
    this.#noRates.hidden = hasRates;
    this.#timeline.element.hidden = !hasRates;
    this.#timeline.fill(rates);
    this.#generations.fill(detail.generations.map((one) => this.#rowOf(one, pipeline.generation)));
    this.#rejected.fill(detail.rejected.map(({ reason, count, sample }) => ({ values: [reason, grouped(count), code(sample)] })));
    const number = letters.count ?? pipeline.deadLetters;
    this.#letters.fill(hasLetters(detail) ? [{ values: [letters.place ?? "–", grouped(number), code(letters.sample)] }] : []);
    this.#log.fill(detail.log.toReversed().map(({ at, level, text }) => ({
      ...(level === "error" ? { level: "alarm" } : level === "warn" ? { level: "warn" } : {}),
      values: [UTC.dateTime(at), level, text],
    })));
  }

  #rowOf({ generation, at, outcome, operators, why }: Generation, running: number | null): { level?: string; values: (string | Node)[] } {
    const names = operators.map(({ name, digest }) => `${name} ${digest.slice(0, SHORT_DIGEST)}`).join(", ");
    const said = why === null || why === "" ? sayHosts(outcome) : `${sayHosts(outcome)}: ${why}`;
    const canReturn = generation !== null && generation !== running && outcome === "applied";
    const back = canReturn ? this.#back(generation) : "";
    const number = generation === null ? "–" : `#${generation}`;
    return { ...(outcome === "refused" ? { level: "warn" } : {}), values: [number, UTC.dateTime(at), said, names, back] };
  }

  /** A button that goes back to a generation. */
  #back(generation: number): Node {
    const made = button({ class: "back-to", "data-generation": String(generation) }, `${say("rollback")} → #${generation}`, () => {
      ask({ pipeline: this.#name, verb: "rollback", what: `${say("confirmRollbackTo")} #${generation}`, body: { generation } }, this.#again);
    });
    return made;
  }

  #order(verb: Verb, what: string): HTMLButtonElement {
    return button({ class: `order order-${verb}` }, say(verb), () => { ask({ pipeline: this.#name, verb, what }, this.#again); });
  }
}

function hasLetters({ letters, pipeline }: Detail): boolean {
  return (letters.count ?? pipeline.deadLetters ?? 0) > 0;
}

function code(sample: string | null): string | Node {
  return sample === null || sample === "" ? "" : el("code", {}, sample);
}
