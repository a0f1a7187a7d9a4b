// The host's clock: the browser's may be wrong by hours, so it only tells how much time has passed.

export class Clock {
  #host: number | null = null;
  #heard = 0;

  /** Takes the host's time from what it sent just now. */
  set(now: number): void {
    this.#host = now;
    this.#heard = performance.now();
  }

  /** The host's time; until it has said it, the browser's. */
  now(): number {
    return this.#host === null ? Date.now() : this.#host + performance.now() - this.#heard;
  }
}
