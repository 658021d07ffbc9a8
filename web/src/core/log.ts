/** The log: one JSON object a line, bounded (specification, chapter 9). */

import { sha256 } from "./sha256.js";
import type { LogRecord } from "./machine/step.js";

/** The most records that are kept. */
export const RECORDS_MAX = 20_000;

/**
 * Formats one record. `micros` is the wall clock in microseconds since 1970; `run` identifies this load of the page.
 */
export function toLine(micros: number, run: string, { event, fields }: LogRecord): string {
  const level = event === "records_lost" ? "WARN" : "INFO";
  const parts = [`"timestamp":"${toTimestamp(micros)}"`, `"level":"${level}"`, `"component":"browser"`, `"event":${JSON.stringify(event)}`];
  for (const [name, value] of Object.entries<string | bigint | boolean | undefined>({ ...fields, run })) {
    if (value === undefined) continue;
    // A uint64 as a JSON number with all its digits.
    parts.push(`"${name}":${typeof value === "string" ? safeJson(value) : value.toString()}`);
  }
  return `{${parts.join(",")}}`;
}

/**
 * Characters that act on a terminal and that JSON allows unescaped: DEL, C1 controls, line separators, bidirectional
 * marks.
 */
const ACTS_ON_TERMINAL = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text as JSON that a terminal shows safely: the downloaded log may be read with `cat`. */
export function safeJson(text: string): string {
  return JSON.stringify(text).replace(ACTS_ON_TERMINAL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** RFC 3339 in UTC with six digits of a second. */
export function toTimestamp(micros: number): string {
  const whole = Math.floor(micros);
  const millis = Math.floor(whole / 1000);
  const rest = String(whole - millis * 1000).padStart(3, "0");
  return new Date(millis).toISOString().replace("Z", `${rest}Z`);
}

/** The records so far, as lines. Bounded: the oldest go first. */
export class Log {
  #lines: string[] = [];
  #dropped = 0;

  /** The lines that are kept, oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** How many older records were dropped. A log whose first line is not `client_started` is cut. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many records there were, with those that were dropped. */
  get count(): number {
    return this.#dropped + this.#lines.length;
  }

  /** Adds a line. Drops a tenth at a time, so that a full log is not moved for every line. */
  push(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length <= RECORDS_MAX) return;
    const cut = Math.ceil(RECORDS_MAX / 10);
    this.#lines.splice(0, cut);
    this.#dropped += cut;
  }

  /** The newest part of the log that fits into this many characters, kept across a reload. */
  toStored(characters: number): string {
    let room = characters;
    let from = this.#lines.length;
    while (from > 0) {
      room -= (this.#lines[from - 1]?.length ?? 0) + 1;
      if (room < 0) break;
      from -= 1;
    }
    return [String(this.#dropped + from), ...this.#lines.slice(from)].join("\n");
  }

  /** The log that was kept across a reload, if any. */
  static fromStored(text: string | null): Log {
    const log = new Log();
    if (text === null) return log;
    const [first, ...lines] = text.split("\n");
    const dropped = Number(first);
    // The text may be damaged, or be that of another version of the page.
    log.#dropped = Number.isSafeInteger(dropped) ? dropped : 0;
    log.#lines = lines;
    return log;
  }

  /**
   * The record that the log lacks records, if it should have this many: a browser that kills a tab stores none of the
   * last ones. Without a session an empty log may be that of a tab that was copied: its records are in the other tab.
   */
  missing(records: number, hasSession: boolean): LogRecord | null {
    const lost = records - this.count;
    if (lost <= 0 || (this.count === 0 && !hasSession)) return null;
    const count = BigInt(lost);
    return { event: "records_lost", fields: this.count === 0 ? { count, from_start: true } : { count } };
  }

  /** The log as a file. */
  toFile(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }
}

/** How many bytes a display name may take in a file name, and how many of a longer one are kept. */
const NAME_BYTES_MAX = 128;
const NAME_BYTES_KEPT = 96;

/**
 * The name of the file, by the same rules as the service and the other clients: a character that a file system or a
 * shell could interpret is written as `%` and its UTF-8 bytes, so that different names stay different. A name that
 * would become too long is cut, and ends with a digest.
 */
export function fileName(name: string): string {
  const safe = Array.from(name, (character, index) => {
    if (/[\p{Alphabetic}\p{N}_-]/u.test(character) || (character === "." && index > 0)) return character;
    const bytes = Array.from(new TextEncoder().encode(character));
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
  });
  return `browser-${shortened(safe.join(""), name)}.jsonl`;
}

function shortened(safe: string, name: string): string {
  const bytes = new TextEncoder().encode(safe);
  if (bytes.length <= NAME_BYTES_MAX) return safe;
  let end = NAME_BYTES_KEPT;
  // Do not cut within a character: its later bytes begin with the bits 10.
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return `${new TextDecoder().decode(bytes.subarray(0, end))}~${sha256(new TextEncoder().encode(name)).slice(0, 16)}`;
}
