// The frame of every page: takes the place of the plain tables that the host wrote.
import { byId, el, setText } from "../dom";
import { say } from "../words";
import { Header } from "./header";

export interface Frame {
  readonly header: Header;
  readonly content: HTMLElement;
  /** Says what is wrong with the whole page; nothing says that all is well. */
  complain: (what: string) => void;
}

export function frame(kind: string): Frame {
  const main = byId("page");
  const header = new Header();
  const content = el("div", { class: `content content-${kind}`, id: "content", tabindex: "-1" });
  const trouble = el("p", { class: "trouble", role: "alert" });
  trouble.hidden = true;
  const skip = el("a", { href: "#content", class: "skip" }, say("skip"));
  main.className = "page";
  main.replaceChildren(skip, header.element, trouble, content);
  return {
    header,
    content,
    complain(what) {
      trouble.hidden = what === "";
      setText(trouble, what);
    },
  };
}
