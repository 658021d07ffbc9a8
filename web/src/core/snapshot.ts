/** What survives a reload of the tab: enough to go on as the same participant, and nothing unsent lost. */

import { INITIAL, type Outgoing, type Progress, type State } from "./state.js";

interface Stored {
  readonly version: 1;
  readonly name: string;
  readonly clock: string;
  readonly position: string | null;
  readonly session: { readonly token: string; readonly participantId: string; readonly name: string; readonly epoch: string } | null;
  readonly outbox: readonly { readonly id: string; readonly text: string; readonly doubt: boolean; readonly rest: "queued" | "held" | "unconfirmed" }[];
}

/** The part of the state to keep. The access secret is kept apart from it. */
export function toSnapshot(state: State): string {
  const stored: Stored = {
    version: 1,
    name: state.name,
    clock: state.clock.toString(),
    position: state.position?.toString() ?? null,
    // Whoever is leaving does not come back by reloading.
    session: state.phase.at === "leaving" ? null : state.session,
    outbox: state.outbox.flatMap((message) => {
      const kept = toRest(message.progress);
      return kept === null ? [] : [{ id: message.id, text: message.text, doubt: message.doubt || kept.doubt, rest: kept.rest }];
    }),
  };
  return JSON.stringify(stored);
}

function toRest(progress: Progress): { rest: "queued" | "held" | "unconfirmed"; doubt: boolean } | null {
  switch (progress.at) {
    case "queued":
      return { rest: "queued", doubt: false };
    case "sending":
      return { rest: "queued", doubt: true };
    case "unconfirmed":
      return { rest: "unconfirmed", doubt: false };
    case "refused":
    case "held":
      return { rest: "held", doubt: false };
    case "accepted":
    case "delivered":
      return null;
  }
}

/** The state that a snapshot stands for, or null where there is none that can be read. */
export function fromSnapshot(text: string | null, secret: string): State | null {
  if (text === null) return null;
  try {
    const stored = JSON.parse(text) as Stored;
    if (stored.version !== 1) return null;
    return {
      ...INITIAL,
      name: stored.name,
      secret,
      secretWanted: secret !== "",
      clock: BigInt(stored.clock),
      position: stored.position === null ? null : BigInt(stored.position),
      session: stored.session,
      outbox: stored.outbox.map((message): Outgoing => ({
        id: message.id,
        text: message.text,
        doubt: message.doubt,
        progress: message.rest === "queued" ? fresh(stored.session !== null) : { at: message.rest },
      })),
    };
  } catch {
    return null;
  }
}

function fresh(takesPart: boolean): Progress {
  return takesPart ? { at: "queued", retryAt: 0, tries: 0, failure: null } : { at: "held" };
}
