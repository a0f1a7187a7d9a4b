// Tables of a pipeline's page.
import { el, fillList, setAttribute, setText } from "../dom";

type Value = string | Node;

/** A table with a fixed head, whose rows are texts, or elements that are made anew. */
export class Rows {
  readonly element: HTMLElement;
  readonly #body = el("tbody");
  readonly #none: HTMLElement;
  readonly #table: HTMLElement;

  constructor(heads: readonly string[], none: string, kind: string) {
    const head = el("tr", {}, ...heads.map((one) => el("th", { scope: "col" }, one)));
    this.#table = el("table", { class: `rows rows-${kind}` }, el("thead", {}, head), this.#body);
    this.#none = el("p", { class: "quiet" }, none);
    this.element = el("div", {}, this.#none, el("div", { class: "table-frame", tabindex: "0" }, this.#table));
  }

  fill(rows: readonly { readonly level?: string; readonly values: readonly Value[] }[]): void {
    this.#none.hidden = rows.length > 0;
    this.#table.hidden = rows.length === 0;
    fillList(this.#body, rows, () => el("tr"), (line, { level, values }) => {
      setAttribute(line, "class", level === undefined ? null : `at-${level}`);
      fillList(line, values, () => el("td"), (cell, value) => {
        if (typeof value === "string") setText(cell, value);
        else if (!cell.firstChild?.isEqualNode(value)) cell.replaceChildren(value);
      });
    });
  }
}
