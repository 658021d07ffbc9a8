/**
 * Log records as a replay reads them: JSON Lines of the service, of the clients and of pages (specification, chapter 9).
 * Nothing is checked here, which `chitchat verify` does. A line that is no log record is counted, and skipped.
 */

/** A record, with the fields that a replay needs. */
export interface LogRecord {
  readonly event: string;
  /** "server", "client" or "browser". */
  readonly component: string;
  /** The wall clock of its process, in milliseconds since 1970. */
  readonly at: number;
  readonly epoch: string;
  readonly participantId: string;
  readonly name: string;
  /** 0 where the record has none, as for all numbers. */
  readonly sequence: number;
  readonly logicalTime: bigint;
  readonly localTime: bigint;
  readonly sentLogicalTime: bigint;
  readonly seenSequence: bigint;
  readonly messageId: string;
  readonly kind: string;
  readonly content: string;
  readonly reason: string;
}

/**
 * The numbers that a double cannot hold, as texts. In a JSON text a quote that belongs to a string is escaped, so what
 * matches is a field.
 */
const LARGE = /(?<!\\)"([a-z_]*(?:time|sequence))":(\d{16,20})(?=[,}])/g;

/** The record of a line; null where it is none. */
export function toRecord(line: string): LogRecord | null {
  const fields = parsed(line);
  if (fields === null) return null;
  const text = (name: string) => (typeof fields[name] === "string" ? (fields[name] as string) : "");
  const number = (name: string) => toNumber(fields[name]);
  const at = Date.parse(text("timestamp"));
  if (text("event") === "" || text("component") === "" || Number.isNaN(at)) return null;
  return {
    event: text("event"),
    component: text("component"),
    at,
    epoch: text("epoch"),
    participantId: text("participant_id"),
    name: text("display_name"),
    sequence: Number(number("sequence")),
    logicalTime: number("logical_time"),
    localTime: number("local_time"),
    sentLogicalTime: number("sent_logical_time"),
    seenSequence: number("seen_sequence"),
    messageId: text("message_id"),
    kind: text("kind"),
    content: text("content"),
    reason: text("reason"),
  };
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(/\d{16}/.test(line) ? line.replace(LARGE, '"$1":"$2"') : line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** What is no whole number, or a negative one, is 0. */
function toNumber(value: unknown): bigint {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : 0n;
  return typeof value === "string" && /^\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}
