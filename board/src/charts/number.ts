import { el, fillList, setAttribute, setText } from "../dom";
import { grouped } from "../format";
import { inOurs } from "../lang";
import type { Panel } from "../wire/board";
import { dataOf, levelOf } from "./series";
import type { View } from "./view";

/** The first row's values, as large as there is room. */
export function numberView(): View {
  const list = el("ul", { class: "numbers" });
  const make = () => el("li", {}, el("p", {}, el("b"), el("small")), el("span"));
  return {
    element: list,
    isReadable: true,
    fill(panel: Panel) {
      const { series } = dataOf(panel);
      // A statement with one column has a value and no label.
      const cells = series.length > 0 ? series : [];
      fillList(list, cells, make, (item, { name, cells: [cell = null], numbers: [number = null] }) => {
        const text = grouped(cell);
        const level = levelOf(number, panel.thresholds);
        setAttribute(item, "class", level === "ok" ? null : `at-${level}`);
        item.style.setProperty("--length", String(Math.max(4, text.length)));
        const [value, unit] = item.firstElementChild?.children ?? [];
        if (value) setText(value, text);
        if (unit) setText(unit, panel.unit === null ? "" : inOurs(panel.unit));
        if (item.lastElementChild) setText(item.lastElementChild, cells.length > 1 ? name : "");
      });
    },
    shown: () => [...list.children].map((item) => item.querySelector("b")?.textContent),
    dispose: () => undefined,
  };
}
