// The host's events. A stream that ends, or falls silent, is opened again for as long as the page is there.
import { Malformed, parsed } from "./wire/read";

/**
 * Longest silence on a stream that is taken for open: the host says something every 5 s. Shorter: a busy host counts as lost.
 * Longer: figures look alive that aren't.
 */
const SILENCE = 12_000;

/** Wait before a stream that was refused is opened again. Shorter: a host that starts is asked by all its viewers at once. */
const AGAIN = 2_000;

export interface Listener {
  /** What to do with each kind of event. */
  readonly on: Readonly<Record<string, (data: unknown) => void>>;
  /** The stream is open, or isn't any more. */
  readonly connected: (connected: boolean) => void;
  /** Something came that can't be understood. */
  readonly malformed: (error: Malformed) => void;
}

export class Stream {
  readonly #url: string;
  readonly #listener: Listener;
  #source: EventSource | null = null;
  #heard = performance.now();
  #connected = false;

  constructor(url: string, listener: Listener) {
    this.#url = url;
    this.#listener = listener;
    this.#open();
    setInterval(() => { this.#watch(); }, 1_000);
  }

  #open(): void {
    this.#heard = performance.now();
    const source = new EventSource(this.#url);
    this.#source = source;
    for (const [kind, act] of Object.entries(this.#listener.on)) {
      source.addEventListener(kind, (event: MessageEvent<string>) => { this.#take(event.data, act); });
    }
    source.addEventListener("error", () => { this.#lost(source); });
  }

  #take(data: string, act: (data: unknown) => void): void {
    this.#heard = performance.now();
    try {
      act(parsed(data));
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#listener.malformed(error);
      return;
    }
    this.#set(true);
  }

  #lost(source: EventSource): void {
    this.#set(false);
    // A browser opens a stream again that breaks, but not one that was refused.
    if (source.readyState !== EventSource.CLOSED || source !== this.#source) return;
    this.#source = null;
    setTimeout(() => { this.#open(); }, AGAIN);
  }

  #watch(): void {
    if (this.#source === null || performance.now() - this.#heard < SILENCE) return;
    this.#source.close();
    this.#set(false);
    this.#open();
  }

  #set(connected: boolean): void {
    if (this.#connected === connected) return;
    this.#connected = connected;
    this.#listener.connected(connected);
  }
}
