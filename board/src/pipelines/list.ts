// The page of all pipelines.
import { places } from "../board/page";
import { Clock } from "../clock";
import { el, fillList, setAttribute, setText } from "../dom";
import { Zone } from "../format";
import { frame } from "../page/frame";
import { Stream } from "../stream";
import { type Pipeline, readPipelines } from "../wire/pipelines";
import { fields, number } from "../wire/read";
import { say } from "../words";
import { chainElement, fillChain } from "./chain";
import { figuresElement, fillBadges, fillFigures, fillWhy, levelOfPhase } from "./figures";

export function pipelinesPage(): void {
  const { header, content, complain } = frame("pipelines");
  const clock = new Clock();
  const zone = new Zone("UTC");
  const list = el("div", { class: "cards" });
  const none = el("p", { class: "quiet" }, say("noPipelines"));
  none.hidden = true;
  content.append(list, none);
  header.setTitle(say("pipelines"));
  let heard = clock.now();
  const hear = (now: number) => {
    clock.set(now);
    heard = now;
  };
  new Stream("/api/pipelines/events", {
    on: {
      pipelines: (data) => {
        const { now, pipelines } = readPipelines(data);
        hear(now);
        header.tick(now, zone);
        complain("");
        none.hidden = pipelines.length > 0;
        fillList(list, pipelines, cardElement, (card, pipeline) => { fillCard(card, pipeline, now); });
      },
      beat: (data) => { hear(number(fields(data), "now")); },
    },
    connected: (is) => {
      header.setLive(is, zone.time(heard));
      list.classList.toggle("is-old", !is);
    },
    malformed: () => { complain(say("misfit")); },
  });
  setInterval(() => { header.tick(clock.now(), zone); }, 1_000);
  void places("").then((links) => { header.setPlaces(links); });
}

function cardElement(): HTMLElement {
  return el("article", { class: "card" },
    el("header", {}, el("h2", {}, el("a")), el("ul", { class: "badges" })),
    el("p", { class: "why" }),
    chainElement(),
    figuresElement(),
  );
}

function fillCard(card: HTMLElement, pipeline: Pipeline, now: number): void {
  const [head, why, chain, figures] = card.children;
  const link = head?.querySelector("a");
  const badges = head?.lastElementChild;
  setAttribute(card, "data-level", levelOfPhase(pipeline.phase));
  if (link) {
    setText(link, pipeline.name);
    setAttribute(link, "href", `/pipelines/${encodeURIComponent(pipeline.name)}`);
  }
  if (badges instanceof HTMLElement) fillBadges(badges, pipeline);
  if (why instanceof HTMLElement) fillWhy(why, pipeline);
  if (chain instanceof HTMLElement) fillChain(chain, pipeline.chain, (pipeline.rate ?? 0) > 0);
  if (figures instanceof HTMLElement) fillFigures(figures, pipeline, now);
}
