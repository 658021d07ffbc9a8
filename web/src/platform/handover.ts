/**
 * Hands a run over to another tab of the same origin, where it is replayed. The tab asks by the run's name, and the page
 * that made the run answers for as long as it is open. Nothing is stored.
 */

import { folderOf } from "./place.js";

/** How long a tab waits for an answer, in milliseconds. */
const WAIT_MS = 3_000;

/** A verified run, ready to be replayed. */
export interface HandedRun {
  readonly title: string;
  readonly epoch: string;
  readonly logs: readonly { readonly name: string; readonly text: string }[];
  /** The report, as the service gave it. */
  readonly report: unknown;
}

type Message = { readonly wanted: string } | { readonly name: string; readonly run: HandedRun };

/** One channel per service: pages of services under other prefixes of the origin do not answer. */
function channel(): BroadcastChannel {
  return new BroadcastChannel(`chitchat.runs${folderOf(location.pathname)}`);
}

/** Answers tabs that ask for these runs. */
export class Handover {
  readonly #runs = new Map<string, HandedRun>();
  readonly #channel = channel();

  /** Offers nothing yet. */
  constructor() {
    this.#channel.addEventListener("message", ({ data }: MessageEvent<Message>) => {
      if (!("wanted" in data)) return;
      const run = this.#runs.get(data.wanted);
      if (run !== undefined) this.#channel.postMessage({ name: data.wanted, run } satisfies Message);
    });
  }

  /** Offers a run in place of the last one; a tab that shows the last one has already received it. */
  offer(name: string, run: HandedRun): void {
    this.#runs.clear();
    this.#runs.set(name, run);
  }
}

/** Asks for a run; null if no page has it. */
export function take(name: string): Promise<HandedRun | null> {
  const asking = channel();
  return new Promise((resolve) => {
    const done = (run: HandedRun | null) => {
      clearTimeout(waiting);
      asking.close();
      resolve(run);
    };
    const waiting = setTimeout(() => done(null), WAIT_MS);
    asking.addEventListener("message", ({ data }: MessageEvent<Message>) => {
      if ("run" in data && data.name === name) done(data.run);
    });
    asking.postMessage({ wanted: name } satisfies Message);
  });
}
