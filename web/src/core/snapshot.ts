/**
 * The state that survives a reload of the tab: enough to continue as the same participant, without losing unsent
 * messages.
 */

import { INITIAL, type Outgoing, type Progress, type State } from "./machine/state.js";

interface Stored {
  readonly version: 1;
  readonly name: string;
  readonly clock: string;
  readonly position: string | null;
  readonly chainHash?: string;
  readonly session: { readonly token: string; readonly participantId: string; readonly name: string; readonly epoch: string } | null;
  readonly outbox: readonly StoredMessage[];
  /** Absent if an earlier version of the page stored the snapshot. */
  readonly records?: number;
}

interface StoredMessage {
  readonly id: string;
  readonly text: string;
  /** Absent if an earlier version of the page stored the snapshot. */
  readonly seen?: string;
  readonly doubt: boolean;
  readonly rest: "queued" | "held" | "unconfirmed";
}

/**
 * The part of the state to keep, and how many records there are by then. The access secret and the log are stored
 * separately.
 */
export function toSnapshot(state: State, records = 0): string {
  const stored: Stored = {
    version: 1,
    name: state.name,
    clock: state.clock.toString(),
    position: state.position?.toString() ?? null,
    chainHash: state.chainHash,
    // A participant that is leaving does not come back by reloading.
    session: state.phase.at === "leaving" ? null : state.session,
    outbox: state.outbox.flatMap((message) => {
      const kept = toRest(message.progress);
      const { id, text, seen, doubt } = message;
      return kept === null ? [] : [{ id, text, seen: seen.toString(), doubt: doubt || kept.doubt, rest: kept.rest }];
    }),
    records,
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

/** The state from a snapshot; null if there is none or it cannot be read. */
export function fromSnapshot(text: string | null, secret: string): State | null {
  if (text === null) return null;
  try {
    const stored: unknown = JSON.parse(text);
    if (!isStored(stored)) return null;
    return {
      ...INITIAL,
      name: stored.name,
      secret,
      secretWanted: secret !== "",
      clock: BigInt(stored.clock),
      position: stored.position === null ? null : BigInt(stored.position),
      chainHash: stored.chainHash ?? "",
      session: stored.session,
      outbox: stored.outbox.map(
        (message): Outgoing => ({
          id: message.id,
          text: message.text,
          seen: BigInt(message.seen ?? stored.position ?? 0),
          doubt: message.doubt,
          progress: message.rest === "queued" ? fresh(stored.session !== null) : { at: message.rest },
        }),
      ),
    };
  } catch {
    return null;
  }
}

/** How many records there were by the time of a snapshot, as far as that is known. */
export function recordsBefore(text: string | null): number {
  try {
    const { records } = JSON.parse(text ?? "{}") as Partial<Stored>;
    return records !== undefined && Number.isSafeInteger(records) ? records : 0;
  } catch {
    return 0;
  }
}

/** Whether this version of the page can have stored this: before a reload there may have been another version. */
function isStored(value: unknown): value is Stored {
  const { version, name, clock, position, session, outbox } = value as Partial<Stored>;
  const texts = (...some: unknown[]) => some.every((one) => typeof one === "string");
  const belongs = session === null || (session !== undefined && texts(session.token, session.participantId, session.name, session.epoch));
  const messages =
    Array.isArray(outbox) && outbox.every((message: Partial<StoredMessage>) => texts(message.id, message.text, message.rest));
  return version === 1 && texts(name, clock, position ?? "") && belongs && messages;
}

function fresh(takesPart: boolean): Progress {
  return takesPart ? { at: "queued", retryAt: 0, tries: 0, failure: null, since: null } : { at: "held" };
}
