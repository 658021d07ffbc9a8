/**
 * The conversation: one section for each membership, each event once, in the order of the service or by wall clock.
 * By wall clock a new event may belong anywhere, so the rows are no live region then: what is new is read aloud from
 * a list of its own, which holds nothing else.
 */

import { Causality } from "../core/causality.js";
import type { ChatEvent } from "../core/event.js";
import { hasEarlier } from "../core/history.js";
import { inWords } from "../core/refusal.js";
import type { Segment, State } from "../core/state.js";
import { visible } from "../core/text.js";
import type { Commands } from "./commands.js";
import { button, make, reconcile, setText, show } from "./dom.js";
import { entry } from "./entry.js";
import type { Palette } from "./palette.js";
import { type Contradiction, type WallRow, byWallClock } from "../core/wall.js";
import { contradiction, crossing } from "./facts.js";
import { mark, markNew } from "./marks.js";
import { causeDetail, causeTitle } from "./words.js";

/** What the transcript is ordered by. */
export type Order = "logical" | "wall";

/** How the transcript is read. */
export interface Reading {
  readonly order: Order;
  /** The event that was chosen, of the present membership. */
  readonly chosen: ChatEvent | null;
}

interface Section {
  readonly root: HTMLElement;
  readonly causality: Causality;
  readonly caption: HTMLElement;
  readonly load: HTMLButtonElement;
  readonly problem: HTMLElement;
  readonly past: HTMLElement;
  readonly walled: HTMLElement;
  log: HTMLElement;
  live: HTMLElement;
  shown: Segment | null;
  reading: Reading | null;
  /** By wall clock: up to which event new ones have been read aloud. */
  said: bigint;
}

/** The transcript's part of the page. */
export class Transcript {
  readonly #root: HTMLElement;
  readonly #palette: Palette;
  readonly #commands: Commands;
  readonly #sections = new Map<number, Section>();

  /** Shows the transcript in `root`. */
  constructor(root: HTMLElement, palette: Palette, commands: Commands) {
    this.#root = root;
    this.#palette = palette;
    this.#commands = commands;
  }

  /** What could have caused what in the present membership. */
  causality(segment: Segment): Causality | null {
    return this.#sections.get(segment.id)?.causality ?? null;
  }

  /** Whether the last row is this event's: by wall clock the newest need not be the last. */
  endsWith(sequence: bigint | null): boolean {
    const rows = this.#root.querySelectorAll<HTMLElement>(".segment:last-child .row");
    return rows[rows.length - 1]?.dataset["sequence"] === `${sequence}`;
  }

  /** Brings the page up to date. */
  render(state: State, reading: Reading): void {
    const { segments } = state;
    for (const id of this.#sections.keys()) {
      if (!segments.some((segment) => segment.id === id)) this.#sections.delete(id);
    }
    reconcile(
      this.#root,
      segments,
      (segment) => `${segment.id}-${segment.selfId}`,
      (segment) => this.#build(segment).root,
    );
    segments.forEach((segment, index) => {
      const section = this.#sections.get(segment.id);
      if (section === undefined) return;
      const present = index === segments.length - 1;
      this.#update(section, segment, present, state, reading);
    });
  }

  #build(segment: Segment): Section {
    const section: Section = {
      root: make("section", "segment"),
      causality: new Causality(),
      caption: make("div", "caption"),
      load: button("Load earlier", "quiet load", () => {
        if (section.load.getAttribute("aria-disabled") !== "true") this.#commands.loadEarlier();
      }),
      problem: make("p", "problem"),
      past: make("ol", "rows past"),
      walled: make("ol", "rows walled"),
      log: make("div", "log"),
      live: make("ol", "rows live"),
      shown: null,
      reading: null,
      said: 0n,
    };
    section.problem.setAttribute("role", "alert");
    // What is loaded on demand stays outside the log: only what happens now is announced.
    section.past.setAttribute("aria-label", "Earlier");
    section.walled.setAttribute("aria-label", "Conversation by wall clock");
    if (segment.cause !== null) {
      section.caption.append(make("h2", "", causeTitle(segment.cause)), make("p", "fine", causeDetail(segment.cause)));
      section.root.classList.add("anew");
    }
    section.root.append(section.caption, make("div", "load-line", section.load, section.problem), section.past, section.walled, section.log);
    this.#sections.set(segment.id, section);
    return section;
  }

  #update(section: Section, segment: Segment, present: boolean, state: State, reading: Reading): void {
    const earlier = present && hasEarlier(state);
    // Neither disabling nor hiding it may lose the keyboard's place.
    if (!earlier && document.activeElement === section.load) section.root.closest<HTMLElement>(".scroller")?.focus();
    show(section.load, earlier);
    section.load.setAttribute("aria-disabled", String(segment.loading || state.phase.at !== "online"));
    setText(section.load, segment.loading ? "Loading…" : "Load earlier");
    setText(section.problem, segment.problem === null ? "" : inWords(segment.problem));
    section.root.classList.toggle("ended", !present);
    if (section.shown !== segment) section.causality.follow([...segment.past, ...segment.live]);
    const reordered = section.reading?.order !== reading.order;
    if (reordered) this.#reorder(section, segment, reading.order);
    section.log.setAttribute("aria-busy", String(present && state.phase.at === "online" && !state.phase.caughtUp));
    if (!present) section.log.removeAttribute("role");
    if (section.shown !== segment || reordered) {
      const people = state.roster.map((person) => person.id);
      if (reading.order === "wall") this.#byWallClock(section, segment, people);
      else this.#byLogicalTime(section, segment, people);
    }
    if (section.shown === segment && section.reading === reading) return;
    section.shown = segment;
    section.reading = reading;
    const chosen = present ? reading.chosen : null;
    for (const list of [section.past, section.live, section.walled]) mark(list, section.causality, chosen);
  }

  /** Begins a live region that has announced nothing: what is moved about is not news. */
  #reorder(section: Section, segment: Segment, order: Order): void {
    const log = make("div", order === "wall" ? "log vh" : "log");
    log.setAttribute("role", "log");
    log.setAttribute("aria-label", order === "wall" ? "New events" : "Conversation, as it happens");
    section.live = make("ol", order === "wall" ? "news" : "rows live");
    log.append(section.live);
    section.log.replaceWith(log);
    section.log = log;
    section.said = segment.live[segment.live.length - 1]?.sequence ?? 0n;
    for (const list of [section.past, section.walled]) {
      list.replaceChildren();
      show(list, false);
    }
  }

  #byLogicalTime(section: Section, segment: Segment, people: readonly string[]): void {
    this.#rows(section, section.past, plain(segment.past), null, segment, people);
    this.#rows(section, section.live, plain(segment.live), segment.past[segment.past.length - 1] ?? null, segment, people);
  }

  #byWallClock(section: Section, segment: Segment, people: readonly string[]): void {
    this.#rows(section, section.walled, byWallClock(section.causality), null, segment, people);
    const news = segment.live.filter((event) => event.sequence > section.said);
    if (news.length === 0) return;
    section.said = news[news.length - 1]!.sequence;
    section.live.replaceChildren(...news.map((event) => make("li", "", announced(event, section.causality))));
  }

  #rows(section: Section, list: HTMLElement, rows: readonly WallRow[], before: ChatEvent | null, segment: Segment, present: readonly string[]): void {
    const earlier = (event: ChatEvent) => segment.joinedAt !== null && event.sequence < segment.joinedAt;
    const items = rows.flatMap((row, index): Item[] => {
      const previous = index === 0 ? before : (rows[index - 1]?.event ?? null);
      const place: Item[] = row.contradiction === null ? [] : [{ contradiction: row.contradiction }];
      return [...place, { event: row.event, continued: place.length === 0 && follows(row.event, previous) }];
    });
    show(list, items.length > 0);
    reconcile(
      list,
      items,
      (item) => ("event" in item ? `${item.event.sequence}${item.continued ? "c" : ""}${earlier(item.event) ? "e" : ""}` : keyOf(item.contradiction)),
      (item) => {
        if (!("event" in item)) return make("li", item.contradiction.relation === "past" ? "contradiction causal" : "contradiction", contradiction(item.contradiction));
        const { event, continued } = item;
        const hue = this.#palette.classOf(event.author.id, present);
        const row = entry(event, { hue, own: event.author.id === segment.selfId, earlier: earlier(event), continued });
        markNew(row, event, section.causality);
        return row;
      },
    );
  }
}

/** What a list holds: events, and places where the wall clock is wrong. */
type Item = { readonly event: ChatEvent; readonly continued: boolean } | { readonly contradiction: Contradiction };

function plain(events: readonly ChatEvent[]): WallRow[] {
  return events.map((event) => ({ event, contradiction: null }));
}

function keyOf({ relation, earlier, later }: Contradiction): string {
  return `${relation} ${earlier.sequence} ${later.sequence}`;
}

/** A new event as it is read aloud where its row is no live region. */
function announced(event: ChatEvent, causality: Causality): string {
  const crossed = causality.crossed(event);
  const who = event.kind.type === "message" ? `${event.author.name}: ` : "";
  return visible(`Logical time ${event.logicalTime} ${who}${event.content}${crossed === null ? "" : `. ${crossing(crossed)}`}`);
}

/** How long a run of messages of one author may pause and still need its name only once, in milliseconds. */
const PAUSE_MS = 5 * 60_000;

function follows(event: ChatEvent, previous: ChatEvent | null): boolean {
  if (previous === null) return false;
  if (event.kind.type !== "message" || previous.kind.type !== "message") return false;
  return event.author.id === previous.author.id && (event.recordedAt ?? 0) - (previous.recordedAt ?? 0) < PAUSE_MS;
}
