// The page of a board.
import { Clock } from "../clock";
import { inOurs } from "../lang";
import { frame } from "../page/frame";
import { Stream } from "../stream";
import { readBoard, readBoards, readHealthEvent, readPanelEvent } from "../wire/board";
import { fields, number } from "../wire/read";
import { say } from "../words";
import { Grid } from "./grid";

declare global {
  /** What the page shows, for tests: nothing but what anybody sees who looks at it. */
  var sluiceShown: (() => unknown) | undefined;
}

export function boardPage(name: string): void {
  const { header, content, complain } = frame("board");
  const clock = new Clock();
  const grid = new Grid();
  let connected = false;
  let heard = clock.now();
  content.append(grid.element);
  const address = `/api/boards/${encodeURIComponent(name)}`;

  const tick = () => {
    header.tick(clock.now(), grid.zone);
    grid.tick(clock.now(), connected);
  };
  const hear = (now: number) => {
    clock.set(now);
    heard = now;
  };
  new Stream(`${address}/events`, {
    on: {
      board: (data) => {
        const board = readBoard(data);
        hear(board.now);
        header.setTitle(inOurs(board.title));
        complain(board.error ?? "");
        grid.fill(board);
        tick();
        markFirst();
      },
      panel: (data) => {
        const { now, index, panel } = readPanelEvent(data);
        hear(now);
        grid.setPanel(index, panel);
        tick();
      },
      health: (data) => {
        const { now, panels } = readHealthEvent(data);
        hear(now);
        grid.setHealth(panels);
        tick();
      },
      beat: (data) => { hear(number(fields(data), "now")); },
    },
    connected: (is) => {
      connected = is;
      header.setLive(is, grid.zone.time(heard));
      if (!is) void explain(address, complain);
      tick();
    },
    malformed: () => { complain(say("misfit")); },
  });
  setInterval(tick, 1_000);
  globalThis.sluiceShown = () => grid.shown();
  void places(name).then((links) => { header.setPlaces(links); });
}

/** Name of the moment at which the charts were there for the first time, for who measures. */
const DRAWN = "sluice drawn";

function markFirst(): void {
  if (performance.getEntriesByName(DRAWN).length === 0) requestAnimationFrame(() => { performance.mark(DRAWN); });
}

/** A host that refuses the board says why. One that is away says nothing. */
async function explain(address: string, complain: (what: string) => void): Promise<void> {
  try {
    const answer = await fetch(address);
    if (answer.ok) return;
    const { error } = fields(await answer.json());
    if (typeof error === "string") complain(error);
  } catch {
    // The head of the page says since when.
  }
}

/** Links to the other boards and to the pipelines. */
export async function places(board: string): Promise<{ href: string; text: string }[]> {
  const pipelines = { href: "/pipelines", text: say("pipelines") };
  try {
    const answer = await fetch("/api/boards");
    const boards = readBoards(await answer.json());
    const others = boards.length > 1 || board === "" ? boards : [];
    return [...others.map(({ name, title }) => ({ href: `/boards/${encodeURIComponent(name)}`, text: inOurs(title) })), pipelines];
  } catch {
    return [pipelines];
  }
}
