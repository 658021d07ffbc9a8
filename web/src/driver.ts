/**
 * Runs the state machine: feeds it inputs, carries out its outputs, and stores its state. All calls, timers and storage
 * are here; the machine makes every decision.
 */

import { type Log, toLine } from "./core/log.js";
import { giveUpStream } from "./core/machine/leaving.js";
import { advance, nextTick } from "./core/machine/machine.js";
import { toSnapshot } from "./core/snapshot.js";
import type { State } from "./core/machine/state.js";
import { type Input, type LogRecord, type Output, whose } from "./core/machine/step.js";
import type { SessionLock } from "./platform/session-lock.js";
import type { Slots } from "./platform/slots.js";
import { remember } from "./platform/storage.js";
import { now, nowMicros, randomId } from "./platform/time.js";
import type { ChatClient } from "./transport/client.js";
import { toFailure } from "./transport/convert.js";

/** The browser's timers overflow beyond this. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** One visit's session. */
export class Driver {
  readonly #client: ChatClient;
  readonly #slots: Slots;
  readonly #lock: SessionLock;
  readonly #onChange: () => void;
  /** Identifies this load of the page in its records. */
  readonly #run = randomId();
  /** The log of this tab. */
  readonly log: Log;
  /**
   * How far the wall clock in this page's messages is set ahead of the browser's, in milliseconds: it shows what a wrong
   * wall clock does.
   */
  skewMs = 0;
  #state: State;
  #stream: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #snapshot = "";
  #secret: string;
  #remembers = true;
  #stopped = false;

  /** Starts from a remembered state or a new one. `records` is how many records the log should have by now. */
  constructor(
    parts: { client: ChatClient; slots: Slots; lock: SessionLock; log: Log; records: number; onChange: () => void },
    state: State,
  ) {
    this.#client = parts.client;
    this.#slots = parts.slots;
    this.#lock = parts.lock;
    this.log = parts.log;
    this.#onChange = parts.onChange;
    this.#state = state;
    this.#secret = state.secret;
    const missing = this.log.missing(parts.records, state.session !== null);
    if (missing !== null) this.record(missing);
    this.record({ event: "client_started", fields: state.name === "" ? {} : { display_name: state.name } });
    // The log counts from here: the same records are not missing again after the next reload.
    this.#rememberState(0);
  }

  /** The present state. */
  get state(): State {
    return this.#state;
  }

  /** Feeds an input to the machine, and carries out the outputs. */
  dispatch(input: Input): void {
    if (this.#stopped) return;
    const { state, outputs } = advance(this.#state, input, now());
    this.#state = state;
    // Remembered before anything is sent: no clock reading and no message id is ever used twice.
    this.#rememberState(outputs.filter((output) => output.do === "record").length);
    this.#lock.follow(state.session);
    for (const output of outputs) this.#perform(output);
    this.#setTimer();
    this.#onChange();
  }

  /** Adds a line to the log. */
  record(record: LogRecord): void {
    this.log.push(toLine(nowMicros(), this.#run, record));
  }

  /**
   * The page is being torn down: the tab is closed, a link is followed, or the page is reloaded. These cannot
   * be told apart here. A reload must resume, so nothing is sent: a tab that does not come back leaves when
   * its grace period ends. In two cases the end is certain, and the page leaves at once: the user has already
   * pressed Leave, or the browser stores nothing for this page, so that it cannot resume.
   */
  stop(): void {
    // A page that comes back from the browser's cache reloads, and is torn down a second time.
    if (this.#stopped) return;
    const { session, phase, clock, secret } = this.#state;
    const leaving = phase.at === "leaving" && !phase.sent;
    if (session !== null && (leaving || !this.#remembers)) {
      const time = clock + 1n;
      this.record({ event: "leave_sent", fields: { ...whose(session), sent_logical_time: time, local_time: time } });
      this.#client.leaveInPassing(session, time, secret);
    }
    for (const output of giveUpStream(this.#state).outputs) this.#perform(output);
    this.record({ event: "client_stopped", fields: session === null ? {} : whose(session) });
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#stream?.abort();
    this.#slots.release();
    this.#lock.release();
  }

  #perform(output: Output): void {
    const { secret } = this.#state;
    switch (output.do) {
      case "claim":
        void this.#slots.claim((granted) => this.dispatch({ type: "slot", granted }));
        break;
      case "release":
        this.#slots.release();
        break;
      case "open":
        void this.#open(output);
        break;
      case "close":
        this.#stream?.abort();
        this.#stream = null;
        break;
      case "publish":
        this.#client.publish(output, Math.max(0, Date.now() + this.skewMs), secret).then(
          (answer) => this.dispatch({ type: "published", id: output.id, ...stamp(answer), session: output.session }),
          (thrown) => this.dispatch({ type: "publish-failed", id: output.id, failure: toFailure(thrown), session: output.session }),
        );
        break;
      case "leave":
        this.#client.leave(output.session, output.time, secret).then(
          (answer) => this.dispatch({ type: "left", ...stamp(answer), session: output.session }),
          (thrown) => this.dispatch({ type: "leave-failed", failure: toFailure(thrown), session: output.session }),
        );
        break;
      case "list":
        this.#client.list(output.session, output.after, output.count, secret).then(
          (events) => this.dispatch({ type: "earlier", segment: output.segment, events }),
          (thrown) => this.dispatch({ type: "earlier-failed", segment: output.segment, failure: toFailure(thrown) }),
        );
        break;
      case "record":
        this.record(output.record);
        break;
    }
  }

  async #open(output: Extract<Output, { do: "open" }>): Promise<void> {
    this.#stream?.abort();
    const stream = new AbortController();
    this.#stream = stream;
    const { attempt } = output;
    let failure = null;
    try {
      await this.#client.join({ ...output, secret: this.#state.secret }, stream.signal, (frame) => {
        if (!stream.signal.aborted) this.dispatch({ type: "frame", attempt, frame });
      });
    } catch (thrown) {
      failure = toFailure(thrown);
    }
    if (!stream.signal.aborted) this.dispatch({ type: "ended", attempt, failure });
  }

  /** Stores the state, with the number of records once this many more are made. */
  #rememberState(records: number): void {
    const snapshot = toSnapshot(this.#state, this.log.count + records);
    if (snapshot !== this.#snapshot) this.#remembers = remember("snapshot", snapshot);
    this.#snapshot = snapshot;
    if (this.#state.secret !== this.#secret) remember("secret", this.#state.secret);
    this.#secret = this.#state.secret;
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    const due = nextTick(this.#state);
    if (due === null) return;
    this.#timer = setTimeout(() => this.dispatch({ type: "tick" }), Math.min(TIMER_MAX_MS, Math.max(0, due - now().at)));
  }
}

function stamp(answer: { sequence: bigint; logicalTime: bigint }) {
  return { sequence: answer.sequence, logicalTime: answer.logicalTime };
}
