// A pipeline's chain as a picture.
import { el, fillList, setAttribute, setName, setText } from "../dom";
import type { Link } from "../wire/pipelines";
import { sayHosts } from "../words";

export function chainElement(): HTMLElement {
  return el("ol", { class: "chain" });
}

export function fillChain(element: HTMLElement, chain: readonly Link[], flows: boolean): void {
  element.classList.toggle("flows", flows);
  fillList(element, chain, () => el("li", {}, el("small"), el("b"), el("span")), (item, link) => {
    setAttribute(item, "class", `link link-${link.kind.replaceAll(/[^a-z]/g, "")}`);
    setAttribute(item, "title", link.detail === "" ? null : link.detail);
    const [kind, name, detail] = item.children;
    if (kind) setText(kind, sayHosts(link.kind));
    if (name) setName(name, link.name);
    if (detail) setText(detail, link.detail);
  });
}
