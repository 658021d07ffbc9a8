/**
 * Which tabs may hold a stream open. Over plain HTTP a browser opens six connections to one host, for all
 * its tabs together, and a stream occupies one for as long as it lives: a sixth stream would leave none
 * for its own Publish, and a seventh tab could not even load. So at most four tabs have a stream, and the
 * others wait their turn without occupying anything. Over HTTPS all calls share one HTTP/2 connection,
 * and no slots are needed.
 */

import type { Locks, Release } from "./locks.js";

/** How many tabs may have a stream over plain HTTP: two of six connections stay free for short calls. */
export const SLOTS = 4;

/** How often a waiting tab looks for a free slot, in milliseconds. */
const LOOK_MS = 1_000;

const NOTHING: Release = () => undefined;

/** One tab's share of the browser's connections. */
export class Slots {
  readonly #locks: Locks;
  readonly #unlimited: boolean;
  #release: Release | null = null;
  #turn = 0;

  /** `unlimited` is for pages whose streams share one connection. */
  constructor(locks: Locks, unlimited: boolean) {
    this.#locks = locks;
    this.#unlimited = unlimited;
  }

  /** Asks for a slot. Soon answers yes or no; after a no, answers yes as soon as a slot is free. */
  async claim(answer: (granted: boolean) => void): Promise<void> {
    this.release();
    const turn = this.#turn;
    let release = this.#unlimited ? await Promise.resolve(NOTHING) : await this.#takeAny();
    if (release === null && turn === this.#turn) answer(false);
    // A slot that looks free may belong to a tab that is just being reloaded: it is taken only when it
    // is still free at the second look.
    let seenFree = false;
    while (release === null && turn === this.#turn) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      release = await this.#takeAny();
      if (release !== null && !seenFree) {
        seenFree = true;
        release();
        release = null;
      } else {
        seenFree = false;
      }
    }
    if (turn !== this.#turn) return release?.();
    this.#release = release;
    answer(true);
  }

  /** Gives the slot back, or stops asking for one. */
  release(): void {
    this.#turn += 1;
    this.#release?.();
    this.#release = null;
  }

  async #takeAny(): Promise<Release | null> {
    for (let slot = 1; slot <= SLOTS; slot += 1) {
      const release = await this.#locks.take(`chitchat-stream-${slot}`, 0);
      if (release !== null) return release;
    }
    return null;
  }
}
