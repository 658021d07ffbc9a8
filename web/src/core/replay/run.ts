/**
 * A recorded run: the events of the conversation, and when each participant received them, from the logs of the service
 * and of participants. The service's records take precedence; without its log, the deliveries to participants are used.
 */

import { type Shade, changed, ended } from "../causality/shades.js";
import type { LogicalTime } from "../clock.js";
import type { ChatEvent, EventKind, Person } from "../event.js";
import { LogRecord } from "./log.js";

/** A log that was read. */
export interface LogFile {
  readonly name: string;
  /** How many of its lines are log records. */
  readonly records: number;
  /** How many are not, and the line number of the first of them, counted from 1; null if there is none. */
  readonly strange: number;
  readonly firstStrange: number | null;
}

/** What the logs say about one epoch. */
export interface Conversation {
  readonly epoch: string;
  /** In the order of the service. */
  readonly events: readonly ChatEvent[];
  /** How many events between the first and the last are in no log. */
  readonly missing: number;
  /** By participant id and sequence: the participant's clock after the delivery, according to its log. */
  readonly receipts: ReadonlyMap<string, ReadonlyMap<number, LogicalTime>>;
  /** The participants that have such a log, in the order of joining. */
  readonly readers: readonly Person[];
  /** The faults of a lab, according to the service's log. */
  readonly shades: readonly Shade[];
}

/** A recorded run. */
export interface Run {
  readonly files: readonly LogFile[];
  /** One for each journal that the logs mention, the earliest first. Journals without any event are left out. */
  readonly conversations: readonly Conversation[];
}

interface Draft {
  readonly at: number;
  readonly events: Map<number, ChatEvent>;
  /** The events of the service's log by sequence. More than one for a sequence is a mistake of the service. */
  readonly broadcasts: Map<number, ChatEvent[]>;
  readonly receipts: Map<string, Map<number, LogicalTime>>;
  readonly people: Map<string, Person>;
  shades: readonly Shade[];
}

const BROADCASTS: ReadonlySet<string> = new Set(["join_broadcast", "message_broadcast", "leave_broadcast"]);

const DELIVERIES: ReadonlySet<string> = new Set(["event_delivered", "event_listed"]);

/** Puts a run together, line by line. */
export class RunBuilder {
  readonly #drafts = new Map<string, Draft>();
  readonly #readers: { readonly name: string; readonly reader: LogReader }[] = [];
  /** The participant whose records a process writes now, by the run of the process: its identity may change. */
  readonly #owners = new Map<string, string>();

  /** Begins a log. Each segment of a rotated log counts as a log; they must be read in chronological order. */
  file(name: string): LogReader {
    const reader = new LogReader((record) => this.#take(record, name));
    this.#readers.push({ name, reader });
    return reader;
  }

  /** The run that the logs describe together. */
  finish(): Run {
    const files = this.#readers.map(({ name, reader }) => ({ name, ...reader.counts }));
    const drafts = [...this.#drafts].filter(([, { events }]) => events.size > 0).sort(([, a], [, b]) => a.at - b.at);
    return { files, conversations: drafts.map(([epoch, draft]) => conversation(epoch, draft)) };
  }

  #take(record: LogRecord, file: string): void {
    if (record.component === "server") this.#shade(record);
    else this.#own(record, file);
    const delivered = record.component !== "server" && DELIVERIES.has(record.event);
    if ((!delivered && !BROADCASTS.has(record.event)) || record.sequence === 0) return;
    const draft = this.#draft(record);
    const known = draft.events.get(record.sequence);
    const event = delivered && known !== undefined ? known : toEvent(record, draft.people);
    if (event === null) return;
    // The service's record takes precedence over a delivery.
    if (!delivered) draft.events.set(record.sequence, broadcast(draft, event));
    else if (event !== known) draft.events.set(record.sequence, event);
    const owner = this.#owners.get(runOf(record, file));
    const time = record.number("local_time");
    // An event that was listed later was not received.
    if (!delivered || owner === undefined || time === 0n) return;
    let receipts = draft.receipts.get(owner);
    if (receipts === undefined) draft.receipts.set(owner, (receipts = new Map()));
    receipts.set(record.sequence, time);
  }

  /** Notes whose records a process writes from here on. */
  #own(record: LogRecord, file: string): void {
    const { event } = record;
    const run = runOf(record, file);
    // The first segment of a rotated log may be missing: what a process publishes is its own.
    const says = event === "connected" || event === "resumed" || (event.startsWith("publish_") && !this.#owners.has(run));
    if (says && record.text("participant_id") !== "") this.#owners.set(run, record.text("participant_id"));
  }

  /** Follows the lab's faults. No fault outlives the service's process. */
  #shade(record: LogRecord): void {
    const { event, sequence } = record;
    if (event === "fault_changed" && sequence > 0) {
      const draft = this.#draft(record);
      draft.shades = changed(draft.shades, record.text("participant_id"), record.text("faults"), BigInt(sequence) - 1n);
    } else if (event === "server_started") {
      const draft = this.#drafts.get(record.text("epoch"));
      if (draft !== undefined) draft.shades = ended(draft.shades, BigInt(sequence));
    }
  }

  #draft(record: LogRecord): Draft {
    const epoch = record.text("epoch");
    const known = this.#drafts.get(epoch);
    if (known !== undefined) return known;
    const draft: Draft = {
      at: record.at,
      events: new Map(),
      broadcasts: new Map(),
      receipts: new Map(),
      people: new Map(),
      shades: [],
    };
    this.#drafts.set(epoch, draft);
    return draft;
  }
}

/** Reads one log. */
export class LogReader {
  readonly #take: (record: LogRecord) => void;
  #line = 0;
  #records = 0;
  #strange = 0;
  #firstStrange: number | null = null;

  /** `take` is called with each record. */
  constructor(take: (record: LogRecord) => void) {
    this.#take = take;
  }

  /** Takes the next line. Empty lines are ignored. */
  line(line: string): void {
    this.#line += 1;
    if (line.trim() === "") return;
    const record = LogRecord.of(line);
    if (record === null) {
      this.#strange += 1;
      this.#firstStrange ??= this.#line;
      return;
    }
    this.#records += 1;
    this.#take(record);
  }

  /** How much it has read. */
  get counts(): Omit<LogFile, "name"> {
    return { records: this.#records, strange: this.#strange, firstStrange: this.#firstStrange };
  }
}

/** The run of the process that wrote a record. Logs of version 1 do not state it: their files have one process at a time. */
function runOf(record: LogRecord, file: string): string {
  return record.text("run") || `file ${file}`;
}

/** Adds an event of the service's log. Returns the first event with its sequence, and with the others as its rivals. */
function broadcast({ broadcasts }: Draft, event: ChatEvent): ChatEvent {
  const sequence = Number(event.sequence);
  const known = broadcasts.get(sequence) ?? [];
  if (!known.some((one) => isSame(one, event))) known.push(event);
  broadcasts.set(sequence, known);
  const [first = event, ...rivals] = known;
  return rivals.length === 0 ? first : { ...first, rivals };
}

/** Whether two records are about the same event: a log may be given twice, and each replica logs the event. */
function isSame(one: ChatEvent, other: ChatEvent): boolean {
  const idOf = ({ kind }: ChatEvent) => (kind.type === "message" ? kind.messageId : kind.type);
  return (
    one.author.id === other.author.id && one.logicalTime === other.logicalTime && one.content === other.content && idOf(one) === idOf(other)
  );
}

function toEvent(record: LogRecord, people: Map<string, Person>): ChatEvent | null {
  const kind = toKind(record);
  if (kind === null) return null;
  const id = record.text("participant_id");
  let author = people.get(id);
  if (author === undefined) {
    author = { id, name: record.text("display_name") };
    people.set(id, author);
  }
  return {
    sequence: BigInt(record.sequence),
    logicalTime: record.number("logical_time"),
    content: record.text("content"),
    author,
    recordedAt: record.at,
    receipt: null,
    chainHash: "",
    kind,
  };
}

function toKind(record: LogRecord): EventKind | null {
  switch (record.text("kind")) {
    case "joined":
      return { type: "joined" };
    case "left":
      return { type: "left", disconnected: record.text("reason") === "DISCONNECTED" };
    case "message":
      return {
        type: "message",
        messageId: record.text("message_id"),
        sentLogicalTime: record.number("sent_logical_time"),
        seenSequence: record.number("seen_sequence"),
        sentAt: record.wallClock("sent_at"),
      };
    default:
      return null;
  }
}

function conversation(epoch: string, { events, receipts, people, shades }: Draft): Conversation {
  const sequences = Float64Array.from(events.keys()).sort();
  const ordered = Array.from(sequences, (sequence) => events.get(sequence)!);
  const [first = 0, last = -1] = [sequences[0], sequences[sequences.length - 1]];
  const readers = [...people.values()].filter(({ id }) => receipts.has(id));
  return { epoch, events: ordered, missing: last - first + 1 - ordered.length, receipts, readers, shades };
}
