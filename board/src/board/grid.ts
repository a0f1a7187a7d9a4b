// The panels, laid out to fill the screen.
import { el } from "../dom";
import { Zone } from "../format";
import { rem } from "../theme";
import type { Board, HealthOf, Panel } from "../wire/board";
import { COLUMNS, layOut } from "./layout";
import { PanelElement } from "./panel";

export class Grid {
  readonly element = el("div", { class: "grid" });
  zone = new Zone("UTC");
  #board = "";
  #map = false;
  #panels: PanelElement[] = [];
  #charts: Panel["chart"][] = [];

  constructor() {
    this.element.style.gridTemplateColumns = `repeat(${COLUMNS}, 1fr)`;
    addEventListener("resize", () => { this.#layOut(); });
  }

  /** Takes a whole board; panels whose kind is the same stay. */
  fill(board: Board): void {
    if (this.zone.name !== board.zone) this.zone = new Zone(board.zone);
    const isOther = this.#board !== board.name || this.#map !== board.map;
    [this.#board, this.#map] = [board.name, board.map];
    if (isOther) this.#shorten(0);
    this.#shorten(board.panels.length);
    board.panels.forEach((panel, place) => { this.setPanel(place, panel); });
    this.#layOut();
  }

  setPanel(place: number, panel: Panel): void {
    const there = this.#panels[place];
    if (there?.chart === panel.chart) {
      there.fill(panel, this.zone);
      return;
    }
    const made = new PanelElement(panel, this.zone, this.#map ? this.#board : null, place);
    if (there === undefined) this.element.append(made.element);
    else there.element.before(made.element);
    there?.dispose();
    this.#panels[place] = made;
    this.#charts[place] = panel.chart;
    this.#layOut();
  }

  setHealth(health: readonly HealthOf[]): void {
    for (const one of health) this.#panels[one.index]?.setHealth(one);
  }

  tick(now: number, connected: boolean): void {
    for (const panel of this.#panels) panel.tick(now, connected);
  }

  shown(): unknown[] {
    return this.#panels.map((panel) => panel.shown());
  }

  #shorten(length: number): void {
    for (const panel of this.#panels.splice(length)) panel.dispose();
    this.#charts.length = Math.min(this.#charts.length, length);
  }

  #layOut(): void {
    const height = innerHeight - this.element.offsetTop;
    const { spans, fits } = layOut(this.#charts, this.element.clientWidth / rem(), height / rem());
    this.element.classList.toggle("scrolls", !fits);
    document.body.classList.toggle("fills", fits);
    this.#panels.forEach((panel, place) => {
      panel.element.style.gridColumn = `span ${spans[place] ?? COLUMNS}`;
    });
  }
}
