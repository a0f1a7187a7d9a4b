// Elements of the page. Texts become text nodes, never HTML.

type Attributes = Readonly<Record<string, string>>;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Sets a text where it is another: what stays isn't drawn, or said by a screen reader, again. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** The same for a name that may break after each underscore, and not anywhere. */
export function setName(element: Element, name: string): void {
  if (element.textContent === name) return;
  element.replaceChildren(...name.split(/(?<=_)/).flatMap((part) => [part, document.createElement("wbr")]));
}

/** Sets an attribute where it is another; null takes it away. */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** Fills a list's elements with items, by their places: elements that are there stay, so that nothing flickers. */
export function fillList<T, E extends Element>(
  parent: Element,
  items: readonly T[],
  make: () => E,
  fill: (element: E, item: T, place: number) => void,
): void {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  items.forEach((item, place) => {
    let element = parent.children[place] as E | undefined;
    if (element === undefined) {
      element = make();
      parent.append(element);
    }
    fill(element, item, place);
  });
}

/** The element of the page that has this id; the host put it there. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

/** A button that does something. */
export function button(attributes: Attributes, text: string, act: () => void): HTMLButtonElement {
  const made = el("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}
