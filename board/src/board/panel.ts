// One panel: its title, its picture, the same as a table for those who hear it, and its foot.
import { viewOf } from "../charts";
import { DataTable } from "../charts/table";
import type { View } from "../charts/view";
import { el, setAttribute, setText } from "../dom";
import type { Zone } from "../format";
import { inOurs } from "../lang";
import type { HealthOf, Panel } from "../wire/board";
import { say } from "../words";
import { Foot } from "./foot";
import { showProvenance } from "./provenance";
import { type Verdict, judge } from "./verdict";

export class PanelElement {
  readonly element: HTMLElement;
  readonly #title: HTMLElement;
  readonly #unit = el("small", { class: "unit" });
  readonly #empty = el("p", { class: "empty" }, say("noData"));
  readonly #foot: Foot;
  readonly #view: View;
  readonly #table = new DataTable();
  readonly #readable = el("div", { class: "hidden" }, this.#table.element);
  #panel: Panel;
  #zone: Zone;
  #verdict: Verdict | null = null;

  constructor(panel: Panel, zone: Zone, map: string | null, place: number) {
    this.#panel = panel;
    this.#zone = zone;
    const id = `panel-${place}`;
    this.#title = el("h2", { id });
    this.#view = viewOf(panel.chart, map, () => { this.#place(); });
    this.#foot = new Foot(() => { if (this.#verdict !== null) showProvenance(this.#panel, this.#verdict, this.#zone); });
    this.element = el("section", { class: `panel panel-${panel.chart}`, "aria-labelledby": id },
      el("header", {}, this.#title, this.#unit),
      el("div", { class: "body" }, this.#view.element, this.#empty, this.#readable),
      this.#foot.element,
    );
    this.fill(panel, zone);
  }

  /** Kind of its picture: a panel of another kind is another element. */
  get chart(): string {
    return this.#panel.chart;
  }

  fill(panel: Panel, zone: Zone): void {
    this.#panel = panel;
    this.#zone = zone;
    setText(this.#title, inOurs(panel.title));
    setText(this.#unit, [panel.unit === null ? "" : inOurs(panel.unit), panel.truncated ? say("truncated") : ""].filter((one) => one !== "").join(" · "));
    this.#view.fill(panel);
    this.#table.fill(panel);
    this.#place();
  }

  /** Takes the health, and when the rows were read; the rows are the same. */
  setHealth({ health, queriedAt }: HealthOf): void {
    this.#panel = { ...this.#panel, health, queriedAt: queriedAt ?? this.#panel.queriedAt };
  }

  /** Ages. */
  tick(now: number, connected: boolean): void {
    this.#verdict = judge(this.#panel, now, connected);
    setAttribute(this.element, "data-level", this.#verdict.level);
    setAttribute(this.element, "data-state", this.#verdict.state);
    this.#foot.fill(this.#panel, this.#verdict, this.#zone);
  }

  /** What it shows, for tests. */
  shown(): unknown {
    return { title: inOurs(this.#panel.title), drawn: this.#view.shown(), table: this.#table.shown() };
  }

  dispose(): void {
    this.#view.dispose();
    this.element.remove();
  }

  /** Shows what there is to show: a picture of no rows says nothing. */
  #place(): void {
    const isEmpty = this.#panel.rows.length === 0;
    this.#empty.hidden = !isEmpty;
    this.#view.element.hidden = isEmpty;
    this.#readable.hidden = isEmpty || this.#view.isReadable;
  }
}
