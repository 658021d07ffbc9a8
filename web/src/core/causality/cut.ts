/**
 * Cuts through a run: for every process, the time of its clock up to which its events are inside. A cut is consistent if
 * no message crosses it backwards: if an effect is inside, so are its causes. So a consistent cut is a state that the
 * whole system could have been in at one moment, as a snapshot or a checkpoint has to be.
 */

import type { LogicalTime } from "../clock.js";
import { type Receipts, sendingTime } from "./diagram.js";
import type { ChatEvent, Person } from "../event.js";
import { wallTime } from "./lens.js";

/** The service's key in a line. */
export const SERVICE = "";

/**
 * A cut: the last time that is inside, by participant id or [`SERVICE`]. A process that is not named has no event
 * inside.
 */
export type Line = ReadonlyMap<string, LogicalTime>;

/** An arrow that crosses a cut backwards: its end is inside, and its beginning is not. */
export type Backward =
  /** The service has a message that has not been sent. */
  | { readonly type: "unsent"; readonly event: ChatEvent }
  /** A writer has seen an event that the service has not broadcast. */
  | { readonly type: "unseen"; readonly event: ChatEvent; readonly by: ChatEvent }
  /** A participant has received an event that the service has not broadcast. */
  | { readonly type: "undelivered"; readonly event: ChatEvent; readonly reader: string };

/**
 * The arrows that cross a cut backwards; none if it is consistent. The events are in order; `receipts` holds those that
 * are known.
 */
export function backwards(events: readonly ChatEvent[], line: Line, receipts: Receipts): Backward[] {
  const inside = (process: string, time: LogicalTime) => time <= (line.get(process) ?? 0n);
  const bySequence = new Map(events.map((event) => [event.sequence, event]));
  return events.flatMap((event): Backward[] => {
    const found: Backward[] = [];
    const { author, kind, logicalTime } = event;
    const sent = sendingTime(event);
    if (sent !== null && inside(SERVICE, logicalTime - 1n) && !inside(author.id, sent)) found.push({ type: "unsent", event });
    const seen = kind.type === "message" ? bySequence.get(kind.seenSequence) : undefined;
    if (sent !== null && seen !== undefined && seen.sequence < event.sequence) {
      if (inside(author.id, sent) && !inside(SERVICE, seen.logicalTime)) found.push({ type: "unseen", event: seen, by: event });
    }
    for (const [reader, times] of receipts) {
      const time = times.get(Number(event.sequence));
      if (time !== undefined && inside(reader, time) && !inside(SERVICE, logicalTime)) found.push({ type: "undelivered", event, reader });
    }
    return found;
  });
}

/**
 * The cut at one Lamport time: a level line through the picture. It is always consistent, since a cause has the smaller
 * time.
 */
export function level(people: readonly Person[], time: LogicalTime): Line {
  return new Map([[SERVICE, time], ...people.map(({ id }): [string, LogicalTime] => [id, time])]);
}

/**
 * The cut at one reading of the wall clocks, in milliseconds since 1970: each participant's last message by then, by
 * its own wall clock, and the service's last broadcast, by its own.
 */
export function atWallClock(events: readonly ChatEvent[], people: readonly Person[], at: number): Line {
  const line = new Map([[SERVICE, 0n], ...people.map(({ id }): [string, LogicalTime] => [id, 0n])]);
  for (const event of events) {
    const { author, recordedAt, logicalTime } = event;
    const sent = sendingTime(event);
    if (sent !== null && line.has(author.id) && wallTime(event) <= at) raise(line, author.id, sent);
    if (recordedAt !== null && recordedAt <= at) raise(line, SERVICE, logicalTime);
  }
  return line;
}

function raise(line: Map<string, LogicalTime>, process: string, time: LogicalTime): void {
  if (time > (line.get(process) ?? 0n)) line.set(process, time);
}
