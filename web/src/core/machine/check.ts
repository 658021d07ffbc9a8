/**
 * Checks whether what the service says can be true. Anything that breaks the contract, or contradicts what came before,
 * is not shown and does not move the clock: the stream is dropped. src/client/machine/check.rs is its counterpart in
 * Rust.
 */

import type { LogicalTime } from "../clock.js";
import type { ChatEvent, Person, Welcome } from "../event.js";
import type { Session } from "./state.js";
import { characters } from "../text.js";

/** The largest sequence and time that are accepted: a journal stores 63 bits of each. */
const NUMBER_MAX = (1n << 63n) - 1n;

/** The longest session token, epoch or participant id, in characters. */
const IDENTIFIER_MAX = 256;

/** The most participants that a roster may have. */
const ROSTER_MAX = 100_000;

/** The limits of the contract, in characters. */
const TEXT_MAX = 128;
const NAME_MAX = 32;
const MESSAGE_ID_MAX = 64;

/** The longest wait that the page accepts from the service, in milliseconds. */
export const WAIT_MAX_MS = 60_000;

/** The bounds of a service's heartbeat interval, in milliseconds. */
const HEARTBEAT_MIN_MS = 1_000;
const HEARTBEAT_MAX_MS = 24 * 60 * 60 * 1_000;

/** A heartbeat interval within its bounds; the default if the service gave none. */
export function credibleHeartbeat(milliseconds: number): number {
  return Math.min(HEARTBEAT_MAX_MS, Math.max(HEARTBEAT_MIN_MS, milliseconds || 15_000));
}

/** A wait within its bounds. */
export function credibleWait(milliseconds: number): number {
  return Math.min(WAIT_MAX_MS, Math.max(0, Math.ceil(milliseconds) || 0));
}

/** What is wrong with a Welcome, in answer to a new join or to a resume after `position`; null for nothing. */
export function faultOfWelcome(welcome: Welcome, session: Session | null, position: bigint | null): string | null {
  const { roster, head } = welcome;
  if (!isIdentifier(welcome.token) || !isIdentifier(welcome.epoch)) return "a welcome without a session or an epoch";
  if (!isNumber(head) || !isNumber(welcome.logicalTime)) return "a sequence or time that is not credible";
  if (roster.length > ROSTER_MAX) return "a roster that is too long";
  if (!roster.every(isPerson)) return "a participant without an id or a name, or with one that is too long";
  if (!roster.some(({ id }) => id === welcome.participantId)) return "a roster without this page";
  if (!welcome.resumed) return null;
  if (session?.epoch !== welcome.epoch || session.participantId !== welcome.participantId) return "a resume of another session";
  return head < (position ?? 0n) ? "a conversation that is shorter than what was delivered of it" : null;
}

/** What is wrong with an event that comes after one at `before`; null for nothing. */
export function faultOfEvent(event: ChatEvent, before: LogicalTime): string | null {
  const { sequence, logicalTime, author, kind, content } = event;
  if (!isNumber(sequence) || !isNumber(logicalTime)) return "a sequence or time that is not credible";
  if (logicalTime <= before) return "a time that is not later than the one before";
  if (!isPerson(author)) return "an event without a kind or a participant";
  switch (kind.type) {
    case "joined":
    case "left":
      return content === sentence(event) ? null : "content that its kind cannot have";
    case "message":
      if (kind.sentLogicalTime >= logicalTime) return "a time that is not later than that of its request";
      if (kind.seenSequence >= sequence) return "a message whose writer had already seen it";
      return isShort(content, TEXT_MAX) && kind.messageId.length <= MESSAGE_ID_MAX ? null : "content that its kind cannot have";
  }
}

/** What is wrong with the end of a replay, after the event at `position`, where the Welcome promised `head`. */
export function faultOfCaughtUp(sequence: bigint, position: bigint, head: bigint): string | null {
  return sequence === position && position >= head ? null : "a replay that ended too early, or elsewhere";
}

/** What is wrong with a heartbeat. Missing events may still follow one heartbeat, but not two. */
export function faultOfHeartbeat(head: bigint, position: bigint, lagging: boolean): string | null {
  if (head < position) return "a conversation that is shorter than what was delivered of it";
  return lagging && isBehind(head, position) ? "heartbeats instead of events" : null;
}

/** Whether there are events that have not arrived. */
export function isBehind(head: bigint, position: bigint): boolean {
  return head > position || position === 0n;
}

/** Whether an answer can be true. */
export function isCredible(sequence: bigint, logicalTime: LogicalTime): boolean {
  return sequence > 0n && logicalTime > 0n && isNumber(sequence) && isNumber(logicalTime);
}

/** The earlier events of a page, up to the first that cannot be true. */
export function credible(events: readonly ChatEvent[]): readonly ChatEvent[] {
  const end = events.findIndex((event, index) => {
    const previous = events[index - 1];
    const follows = previous === undefined || event.sequence === previous.sequence + 1n;
    return !follows || faultOfEvent(event, previous?.logicalTime ?? 0n) !== null;
  });
  return end === -1 ? events : events.slice(0, end);
}

/** The content of a join or a leave (S5, S6). */
export function sentence({ author, kind, logicalTime }: ChatEvent): string {
  return `Participant ${author.name} ${kind.type} Chit Chat at logical time ${logicalTime}`;
}

function isNumber(number: bigint): boolean {
  return number <= NUMBER_MAX;
}

function isPerson({ id, name }: Person): boolean {
  return isIdentifier(id) && isShort(name, NAME_MAX);
}

function isIdentifier(text: string): boolean {
  return text.length > 0 && text.length <= IDENTIFIER_MAX;
}

/** Whether a text has at least one character and at most `max`. No character takes more than two UTF-16 units. */
function isShort(text: string, max: number): boolean {
  return text.length > 0 && text.length <= 2 * max && characters(text) <= max;
}
