// Dialogs: the browser's own, so that focus and the escape key are right by themselves.
import { button, el } from "../dom";
import { say } from "../words";

let numbered = 0;

/** Makes a dialog with a title; it is gone when it is closed. */
export function dialog(title: string, ...content: readonly Node[]): HTMLDialogElement {
  numbered += 1;
  const id = `dialog-${numbered}`;
  const made = el("dialog", { "aria-labelledby": id });
  const close = button({ class: "dialog-close", "aria-label": say("close"), title: say("close") }, "✕", () => { made.close(); });
  made.append(el("header", {}, el("h2", { id }, title), close), ...content);
  made.addEventListener("close", () => { made.remove(); });
  // A click beside it closes it, too.
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  made.showModal();
  return made;
}

/** A list of names and values. */
export function facts(items: readonly (readonly [string, string | Node | null])[]): HTMLElement {
  const list = el("dl", { class: "facts" });
  for (const [name, value] of items) {
    if (value !== null && value !== "") list.append(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  }
  return list;
}
