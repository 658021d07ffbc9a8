/**
 * Makes sure that two tabs never fight over one session. Duplicating a tab copies its sessionStorage,
 * session included; so a tab that uses a session holds a lock named after it, and a copy that finds the lock taken
 * starts afresh.
 */

import type { Session } from "../core/machine/state.js";
import type { Locks, Release } from "./locks.js";

/** How long a reloaded page waits for the page it replaces to let go, in milliseconds. */
const RELOAD_MS = 1_000;

/** The lock on the session that this tab uses. */
export class SessionLock {
  readonly #locks: Locks;
  #name = "";
  #release: Release | null = null;

  /** Locks nothing yet. */
  constructor(locks: Locks) {
    this.#locks = locks;
  }

  /** Takes the lock on a session that was remembered. False when another tab uses the session. */
  async takeOver(session: Session): Promise<boolean> {
    const release = await this.#locks.take(nameOf(session), RELOAD_MS);
    if (release === null) return false;
    this.#name = nameOf(session);
    this.#release = release;
    return true;
  }

  /** Follows the page's session: locks a new one, lets go of one that has ended. */
  follow(session: Session | null): void {
    const name = session === null ? "" : nameOf(session);
    if (name === this.#name) return;
    this.release();
    this.#name = name;
    if (name === "") return;
    void this.#locks.take(name, RELOAD_MS).then((release) => {
      if (this.#name === name) this.#release = release;
      else release?.();
    });
  }

  /** Lets go. */
  release(): void {
    this.#release?.();
    this.#release = null;
    this.#name = "";
  }
}

/** Lock names can be read by every page of the origin: the token stays out of them. */
function nameOf(session: Session): string {
  return `chitchat-session-${session.epoch}-${session.participantId}`;
}
