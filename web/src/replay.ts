/** The entry of the replay, a part of the page that is loaded only when a recorded run is opened. */

import { type Judged, judged, toFindings, toMistake } from "./core/replay/findings.js";
import { type Run, RunBuilder } from "./core/replay/run.js";
import { toPlace } from "./core/replay/place.js";
import { take } from "./platform/handover.js";
import { addStyleSheet } from "./platform/style-sheet.js";
import { show } from "./view/parts/dom.js";
import { Chooser } from "./view/replay/chooser.js";
import type { LoadDrawing } from "./view/panel.js";
import { ReplayRoom } from "./view/replay/room.js";

/** The log files of the runs that the service has, in `NAME/` beside the page. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  example: ["server.jsonl", "client-alice.jsonl", "client-bob.jsonl", "client-carol.jsonl", "browser-dora.jsonl"],
};

/** How long lines are read before the page may redraw, in milliseconds. */
const TURN_MS = 40;

/** How many lines are read between two looks at the clock. */
const LINES = 500;

/** A log to be read. */
interface Source {
  readonly name: string;
  read(): Promise<string>;
}

/** Replays these logs; without any, replays the run that the page's address names, or lets the user choose. */
export async function open(files: readonly File[], loadDrawing: LoadDrawing): Promise<void> {
  await addStyleSheet("replay-style.css");
  new Replays(loadDrawing).start(files);
}

class Replays {
  readonly #loadDrawing: LoadDrawing;
  #chooser: Chooser | null = null;
  #room: ReplayRoom | null = null;
  #name = "";
  /** The document before any run was shown, to start from for the next one. */
  readonly #room0 = document.getElementById("room")!.cloneNode(true);
  readonly #lobby0 = document.getElementById("lobby")!.cloneNode(true);

  constructor(loadDrawing: LoadDrawing) {
    this.#loadDrawing = loadDrawing;
  }

  start(files: readonly File[]): void {
    // If logs were dropped onto the join form, the chat has already drawn something.
    for (const drawn of (this.#room0 as HTMLElement).querySelectorAll(".drawn, #transcript > *")) drawn.remove();
    addEventListener("hashchange", () => this.#followAddress());
    document.addEventListener("drop", (event) => {
      const dropped = [...(event.dataTransfer?.files ?? [])];
      event.preventDefault();
      if (dropped.length > 0) void this.#openFiles(dropped);
    });
    document.addEventListener("dragover", (event) => event.preventDefault());
    const place = toPlace(location.hash);
    if (files.length > 0) void this.#openFiles(files);
    else if (place === null || place.run === "") this.#choose();
    else void this.#openNamed(place.run);
  }

  #choose(): Chooser {
    if (this.#chooser !== null) return this.#chooser;
    this.#reset();
    show(document.getElementById("room")!, false);
    this.#chooser = new Chooser({
      files: (files) => void this.#openFiles(files),
      example: () => void this.#openNamed("example"),
      mistakes: () => fetched("mistakes/index.json"),
    });
    show(document.getElementById("lobby")!, true);
    return this.#chooser;
  }

  /** Restores the document to what it was before a run was shown. */
  #reset(): void {
    this.#room?.close();
    document.getElementById("room")?.replaceWith(this.#room0.cloneNode(true));
    const lobby = document.getElementById("lobby");
    if (lobby === null) document.getElementById("room")!.before(this.#lobby0.cloneNode(true));
    else lobby.replaceWith(this.#lobby0.cloneNode(true));
    this.#room = null;
    this.#chooser = null;
  }

  #openFiles(files: readonly File[]): Promise<void> {
    history.replaceState(history.state, "", toPlace(location.hash)?.run === "" ? location.hash : "#run");
    const sources = files.map((file) => ({ name: file.name, read: () => file.text() }));
    const title = files.length === 1 ? files[0]!.name : `${files.length} logs`;
    return this.#read(sources, "", title);
  }

  async #openNamed(name: string): Promise<void> {
    const number = /^mistake-(\d{1,4})$/.exec(name)?.[1];
    if (number !== undefined) return this.#openMistake(name, number);
    if (name.startsWith("proof-")) return this.#openProof(name);
    const names = Object.hasOwn(RUNS, name) ? RUNS[name]! : [];
    if (names.length === 0) return this.#choose().failed(`This service has no run named ${name}.`);
    const sources = names.map((file) => ({ name: file, read: () => fetched(`${name}/${file}`) }));
    return this.#read(sources, name, name);
  }

  /** A mistake of the gallery: its logs, and what the verifier says about them. */
  async #openMistake(name: string, number: string): Promise<void> {
    const chooser = this.#choose();
    try {
      const mistake = toMistake(JSON.parse(await fetched(`mistakes/${number}.json`)));
      const sources = mistake.logs.map((log) => ({ name: log.name, read: () => Promise.resolve(log.text) }));
      return await this.#read(sources, name, `Mistake ${number}: ${mistake.title}`, mistake);
    } catch {
      chooser.failed(`This service has no mistake number ${number}.`);
    }
  }

  /** A run that a lab has proved: the page that asked for the proof has its logs. */
  async #openProof(name: string): Promise<void> {
    const chooser = this.#choose();
    const handed = await take(name);
    if (handed === null) return chooser.failed("The page that made this proof has been closed, or has made another one since.");
    const sources = handed.logs.map((log) => ({ name: log.name, read: () => Promise.resolve(log.text) }));
    return this.#read(sources, name, handed.title, judged(name, toFindings(handed.report)), handed.epoch);
  }

  async #read(
    sources: readonly Source[],
    name: string,
    title: string,
    mistake: Judged | null = null,
    epoch: string | null = null,
  ): Promise<void> {
    const chooser = this.#choose();
    try {
      const run = await read(sources, (file, share) => chooser.reading(file, share));
      const unread = run.files.filter(({ records }) => records === 0).map((file) => file.name);
      if (run.conversations.length === 0) {
        return chooser.failed(
          unread.length > 0 ? `There are no log records in ${unread.join(", ")}.` : "These logs have no events of a conversation.",
        );
      }
      const conversation = run.conversations.findIndex((one) => one.epoch === epoch);
      this.#show(run, Math.max(0, conversation), name, title, mistake);
    } catch (error) {
      chooser.failed(`The logs could not be read: ${error instanceof Error ? error.message : error}`);
    }
  }

  #show(run: Run, conversation: number, name: string, title: string, mistake: Judged | null): void {
    const place = toPlace(location.hash);
    this.#reset();
    this.#name = name;
    const event = place?.run === name ? place.event : null;
    const shown = { run, conversation, name, title, event, mistake };
    this.#room = new ReplayRoom(shown, this.#loadDrawing, (other) => this.#show(run, other, name, title, mistake));
  }

  /** The user has changed the address, or followed a link. */
  #followAddress(): void {
    const place = toPlace(location.hash);
    if (place === null) return location.reload();
    const same = this.#room !== null && place.run === this.#name;
    if (same && place.event !== null) this.#room?.goTo(place.event);
    else if (place.run === "") this.#choose();
    else if (same) this.#room?.goTo(0n);
    else void this.#openNamed(place.run);
  }
}

async function fetched(path: string): Promise<string> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.text();
}

/** The first timestamp of a log; empty if it has none. */
function begin(text: string): string {
  return /"timestamp":"([^"]+)"/.exec(text.slice(0, 4_096))?.[1] ?? "";
}

/** Reads logs line by line, and lets the page redraw in between. */
async function read(sources: readonly Source[], progress: (name: string, share: number) => void): Promise<Run> {
  const builder = new RunBuilder();
  const texts: { readonly name: string; readonly text: string }[] = [];
  for (const { name, read } of sources) {
    progress(name, 0);
    texts.push({ name, text: await read() });
  }
  // A segment of a rotated log does not always say whose log it is; an earlier segment does, so it is read first.
  texts.sort((a, b) => begin(a.text).localeCompare(begin(b.text)));
  const total = Math.max(
    1,
    texts.reduce((sum, { text }) => sum + text.length, 0),
  );
  let done = 0;
  let until = performance.now() + TURN_MS;
  for (const { name, text } of texts) {
    const log = builder.file(name);
    let from = 0;
    for (let lines = 1; from < text.length; lines += 1) {
      const end = text.indexOf("\n", from);
      log.line(text.slice(from, end < 0 ? text.length : end));
      from = end < 0 ? text.length : end + 1;
      if (lines % LINES !== 0 || performance.now() < until) continue;
      progress(name, (done + from) / total);
      await new Promise((resolve) => setTimeout(resolve));
      until = performance.now() + TURN_MS;
    }
    done += text.length;
  }
  return builder.finish();
}
