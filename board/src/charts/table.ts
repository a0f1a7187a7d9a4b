// A panel's rows as a table: what a table panel shows, and what a screen reader finds behind every picture.
import { el, fillList, setAttribute, setText } from "../dom";
import { cellTime, grouped } from "../format";
import { inOurs } from "../lang";
import type { Cell, Column, Panel } from "../wire/board";
import { levelOf, numberOf } from "./series";
import type { View } from "./view";

export class DataTable {
  readonly element: HTMLTableElement;
  readonly #caption = el("caption", { class: "hidden" });
  readonly #head = el("tr");
  readonly #body = el("tbody");

  constructor(attributes: Readonly<Record<string, string>> = {}) {
    this.element = el("table", attributes, this.#caption, el("thead", {}, this.#head), this.#body);
  }

  fill(panel: Panel): void {
    setText(this.#caption, inOurs(panel.title));
    fillList(this.#head, panel.columns, () => el("th", { scope: "col" }), (head, column) => {
      setText(head, titleOf(column, panel));
      setAttribute(head, "class", isNumber(column) ? "number" : null);
    });
    fillList(this.#body, panel.rows, () => el("tr"), (line, row) => {
      fillList(line, panel.columns, () => el("td"), (cell, column, place) => {
        fillCell(cell, row[place] ?? null, column, panel);
      });
    });
  }

  shown(): string[][] {
    return [...this.#body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  }
}

/** A column's name, with the unit where the panel's values are in it. */
function titleOf(column: Column, panel: Panel): string {
  const isValue = panel.values.includes(column.name);
  return isValue && panel.unit !== null ? `${column.name} (${inOurs(panel.unit)})` : column.name;
}

const isNumber = (column: Column) => column.type === "number";

function fillCell(element: Element, cell: Cell, column: Column, panel: Panel): void {
  const level = panel.values.includes(column.name) ? levelOf(numberOf(cell), panel.thresholds) : "ok";
  const classes = [isNumber(column) ? "number" : "", level === "ok" ? "" : `at-${level}`].filter((one) => one !== "");
  setAttribute(element, "class", classes.length > 0 ? classes.join(" ") : null);
  // A label that is a number is a name, such as a user's: its digits aren't grouped.
  const isName = column.name === panel.label;
  setText(element, written(cell, column, isName));
}

function written(cell: Cell, column: Column, isName: boolean): string {
  if (cell === null) return "–";
  if (column.type === "time" || column.type === "date") return cellTime(String(cell));
  return isNumber(column) && !isName ? grouped(cell) : String(cell);
}

export function tableView(): View {
  const table = new DataTable({ class: "rows" });
  return {
    element: el("div", { class: "table-frame", tabindex: "0" }, table.element),
    isReadable: true,
    fill(panel) { table.fill(panel); },
    shown: () => table.shown(),
    dispose: () => undefined,
  };
}
