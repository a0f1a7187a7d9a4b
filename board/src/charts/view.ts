// What draws a panel's rows. A view is made once for a panel, and then only filled: that is why nothing flickers.
import type { Panel } from "../wire/board";

export interface View {
  /** Where it draws. */
  readonly element: HTMLElement;
  /** True if its own elements can be read by a screen reader: then the panel needs no hidden table. */
  readonly isReadable: boolean;
  fill(panel: Panel): void;
  /** What is drawn, for tests: the same as anybody sees. */
  shown(): unknown;
  dispose(): void;
}
