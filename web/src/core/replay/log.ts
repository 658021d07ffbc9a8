/**
 * Log records as a replay reads them: JSON Lines of the service, of the clients and of pages (specification, chapter 9).
 * Nothing is checked here: that is the task of `chitchat verify`. A line that is not a log record is counted, and
 * skipped.
 */

import type { RecordEvent, RecordFields } from "../record.js";

/** A field of some record of a client or page: a name that no such record has does not compile. */
type Field = { readonly [E in RecordEvent]: keyof RecordFields[E] }[RecordEvent];
type TextField = Extract<Field, "epoch" | "participant_id" | "display_name" | "message_id" | "kind" | "content" | "reason">;
type NumberField = Extract<Field, "logical_time" | "local_time" | "sent_logical_time" | "seen_sequence">;

/** A record, with the fields that a replay needs. They are converted on demand, since most are never used. */
export class LogRecord {
  readonly #fields: Readonly<Record<string, unknown>>;
  /** What happened; never empty. */
  readonly event: string;
  /** "server", "client" or "browser". */
  readonly component: string;
  /** The wall clock of its process, in milliseconds since 1970. */
  readonly at: number;

  private constructor(fields: Readonly<Record<string, unknown>>, event: string, component: string, at: number) {
    this.#fields = fields;
    this.event = event;
    this.component = component;
    this.at = at;
  }

  /** The record in a line; null if the line is not a record. */
  static of(line: string): LogRecord | null {
    const fields = parsed(line);
    if (fields === null) return null;
    const { event, component, timestamp } = fields as { event?: unknown; component?: unknown; timestamp?: unknown };
    if (typeof event !== "string" || typeof component !== "string" || typeof timestamp !== "string") return null;
    const at = Date.parse(timestamp);
    return event === "" || component === "" || Number.isNaN(at) ? null : new LogRecord(fields, event, component, at);
  }

  /** A text; empty if the record has none. */
  text(name: TextField | "run" | "faults"): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : "";
  }

  /** A whole number; 0 if the record has none. */
  number(name: NumberField): bigint {
    return toNumber(this.#fields[name]);
  }

  /** A wall clock, in milliseconds since 1970; null if the record has none. */
  wallClock(name: Extract<Field, "sent_at">): number | null {
    const at = Date.parse(String(this.#fields[name] ?? ""));
    return Number.isNaN(at) ? null : at;
  }

  /** Its event's place in the conversation; 0 if the record has none. */
  get sequence(): number {
    const value = this.#fields["sequence"];
    return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0;
  }
}

/**
 * Numbers that a double may not hold: they are read as texts. Inside a JSON string a quote is escaped, so a match is
 * always a field.
 */
const LARGE = /(?<!\\)"([a-z_]*(?:time|sequence))":(\d{16,20})(?=[,}])/g;

function parsed(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(/\d{16}/.test(line) ? line.replace(LARGE, '"$1":"$2"') : line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Anything but a non-negative whole number counts as 0. */
function toNumber(value: unknown): bigint {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : 0n;
  return typeof value === "string" && /^\d{1,20}$/.test(value) ? BigInt(value) : 0n;
}
