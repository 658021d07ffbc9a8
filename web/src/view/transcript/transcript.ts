/**
 * The conversation: one section for each membership, each event once, in the order of the service or by wall clock.
 * By wall clock a new event may belong anywhere, so the rows are not a live region then: new events are read aloud from
 * a separate list, which holds nothing else.
 */

import { Causality } from "../../core/causality/causality.js";
import type { ChatEvent } from "../../core/event.js";
import { hasEarlier } from "../../core/machine/history.js";
import { inWords } from "../../core/machine/refusal.js";
import type { Segment, State } from "../../core/machine/state.js";
import { visible } from "../../core/text.js";
import type { Commands } from "../commands.js";
import { copyLines } from "./copy.js";
import { button, empty, itemList, listItem, make, reconcile, setText, show } from "../parts/dom.js";
import { entry } from "./entry.js";
import { type WallRow, byWallClock } from "../../core/causality/wall.js";
import { contradiction, crossing } from "../facts.js";
import { Fold } from "./fold.js";
import { type FoldItem, type Item, grouped, items, lastEvent } from "./items.js";
import { mark, markNew, relate } from "./marks.js";
import { causeDetail, causeTitle } from "../words.js";

/** What the transcript is ordered by. */
export type Order = "logical" | "wall";

/** How the transcript is read. */
export interface Reading {
  readonly order: Order;
  /** The chosen event, of the present membership. */
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
  /** What happens within a fold, for screen readers. */
  readonly aside: HTMLElement;
  log: HTMLElement;
  live: HTMLElement;
  /** The rows that have been built, by sequence. */
  readonly rows: Map<bigint, HTMLElement>;
  /** The folds, by key. */
  readonly folds: Map<string, { readonly fold: Fold; item: FoldItem }>;
  /** The event of the last row. */
  last: bigint | null;
  shown: Segment | null;
  reading: Reading | null;
  /** The chosen event for which its rows are marked. */
  chosen: ChatEvent | null;
  /** The last event that has been read aloud, of those whose rows are not in the live region. */
  said: bigint;
}

/** The transcript's part of the page. */
export class Transcript {
  readonly #root: HTMLElement;
  readonly #commands: Commands;
  readonly #sections = new Map<number, Section>();

  /** Shows the transcript in `root`. */
  constructor(root: HTMLElement, commands: Commands) {
    this.#root = root;
    copyLines(root);
    this.#commands = commands;
  }

  /** What could have caused what in the present membership. */
  causality(segment: Segment): Causality | null {
    return this.#sections.get(segment.id)?.causality ?? null;
  }

  /** Whether the last row is this event's: by wall clock the newest need not be the last. */
  endsWith(segment: Segment | undefined, sequence: bigint | null): boolean {
    return sequence !== null && segment !== undefined && this.#sections.get(segment.id)?.last === sequence;
  }

  /** The row of an event of the present membership. The fold that it may be in is opened. */
  row(segment: Segment, sequence: bigint): HTMLElement | null {
    const section = this.#sections.get(segment.id);
    if (section === undefined) return null;
    for (const { fold, item } of section.folds.values()) {
      if (item.rows.some(({ event }) => event.sequence === sequence)) fold.open();
    }
    return section.rows.get(sequence) ?? null;
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
      past: itemList("rows past"),
      walled: itemList("rows walled"),
      log: make("div", "log"),
      live: itemList("rows live"),
      aside: make("div", "vh"),
      rows: new Map(),
      folds: new Map(),
      last: null,
      shown: null,
      reading: null,
      chosen: null,
      said: 0n,
    };
    section.problem.setAttribute("role", "alert");
    // What is loaded on demand stays outside the log: only what happens now is announced.
    section.aside.setAttribute("aria-live", "polite");
    section.past.setAttribute("aria-label", "Earlier");
    section.walled.setAttribute("aria-label", "Conversation by wall clock");
    if (segment.cause !== null) {
      section.caption.append(make("h2", "", causeTitle(segment.cause)), make("p", "fine", causeDetail(segment.cause)));
      section.root.classList.add("anew");
    }
    section.root.append(
      section.caption,
      make("div", "load-line", section.load, section.problem),
      section.past,
      section.walled,
      section.log,
      section.aside,
    );
    this.#sections.set(segment.id, section);
    return section;
  }

  #update(section: Section, segment: Segment, present: boolean, state: State, reading: Reading): void {
    const earlier = present && hasEarlier(state);
    // Disabling or hiding the button must not lose the keyboard's place.
    if (!earlier && document.activeElement === section.load) section.root.closest<HTMLElement>(".scroller")?.focus();
    show(section.load, earlier);
    section.load.setAttribute("aria-disabled", String(segment.loading || state.phase.at !== "online"));
    setText(section.load, segment.loading ? "Loading…" : "Load earlier");
    setText(section.problem, segment.problem === null ? "" : inWords(segment.problem));
    section.root.classList.toggle("ended", !present);
    const reordered = section.reading?.order !== reading.order;
    if (reordered) this.#reorder(section, segment, reading.order);
    section.log.setAttribute("aria-busy", String(present && state.phase.at === "online" && !state.phase.caughtUp));
    if (!present) section.log.removeAttribute("role");
    if (section.shown !== segment || reordered) {
      section.causality.follow([...segment.past, ...segment.live]);
      if (reading.order === "wall") this.#byWallClock(section, segment);
      else this.#byLogicalTime(section, segment);
    }
    if (section.shown === segment && section.reading === reading) return;
    section.shown = segment;
    section.reading = reading;
    this.#mark(section, present ? reading.chosen : null, reordered);
  }

  /**
   * Updates what the rows say about causes. If the same event is chosen as before, most rows do not change.
   */
  #mark(section: Section, chosen: ChatEvent | null, reordered: boolean): void {
    const changed = section.causality.takeChanged();
    const all = section.chosen !== chosen || reordered;
    section.chosen = chosen;
    if (all) for (const list of [section.past, section.live, section.walled]) list.classList.toggle("choosing", chosen !== null);
    for (const sequence of all ? section.rows.keys() : changed) {
      const row = section.rows.get(sequence);
      const event = section.causality.event(sequence);
      if (row !== undefined && event !== undefined) mark(row, event, section.causality, chosen);
    }
    if (chosen === null && !all) return;
    for (const { fold, item } of section.folds.values()) {
      fold.relate(item.rows.map(({ event }) => (chosen === null ? "" : section.causality.relation(event, chosen))));
      if (item.rows.some(({ event }) => event.sequence === chosen?.sequence)) fold.open();
    }
  }

  /** Starts a new live region, so that rows in another order are not announced as new. */
  #reorder(section: Section, segment: Segment, order: Order): void {
    const log = make("div", order === "wall" ? "log vh" : "log");
    log.setAttribute("role", "log");
    log.setAttribute("aria-label", order === "wall" ? "New events" : "Conversation, as it happens");
    section.live = order === "wall" ? make("ol", "news") : itemList("rows live");
    log.append(section.live);
    section.log.replaceWith(log);
    section.log = log;
    section.said = segment.live[segment.live.length - 1]?.sequence ?? 0n;
    for (const list of [section.past, section.walled]) {
      empty(list);
      show(list, false);
    }
    section.rows.clear();
    section.folds.clear();
  }

  #byLogicalTime(section: Section, segment: Segment): void {
    const past = items(plain(segment.past), null, segment);
    const live = items(plain(segment.live), segment.past[segment.past.length - 1] ?? null, segment);
    this.#show(section, section.past, past);
    this.#show(section, section.live, live);
    this.#settle(section, segment, [...past, ...live]);
    // A row in the log is announced by itself; a row within a fold is not.
    const folded = live.flatMap((item) => (item.type === "fold" ? item.rows.map(({ event }) => event) : []));
    this.#say(section, segment, section.aside, folded);
  }

  #byWallClock(section: Section, segment: Segment): void {
    const rows = items(byWallClock(section.causality), null, segment);
    this.#show(section, section.walled, rows);
    this.#settle(section, segment, rows);
    this.#say(section, segment, section.live, segment.live);
  }

  /** Reads aloud those of these events that are new. */
  #say(section: Section, segment: Segment, where: HTMLElement, events: readonly ChatEvent[]): void {
    const news = events.filter((event) => event.sequence > section.said);
    section.said = segment.live[segment.live.length - 1]?.sequence ?? section.said;
    if (news.length === 0) return;
    const tag = where === section.aside ? "p" : "li";
    where.replaceChildren(...news.map((event) => make(tag, "", announced(event, section.causality))));
  }

  #show(section: Section, list: HTMLElement, all: readonly Item[]): void {
    show(list, all.length > 0);
    const groups = grouped(all);
    reconcile(list, groups, ({ key }) => key, group);
    groups.forEach(({ items }, index) => {
      reconcile(
        list.children[index] as HTMLElement,
        items,
        ({ key }) => key,
        (item) => this.#element(section, item),
      );
    });
  }

  #element(section: Section, item: Item): HTMLElement {
    switch (item.type) {
      case "event": {
        const row = entry(item);
        markNew(row, item.event, section.causality);
        if (section.chosen !== null) relate(row, section.causality.relation(item.event, section.chosen));
        section.rows.set(item.event.sequence, row);
        return row;
      }
      case "fold": {
        const fold = new Fold(item, (inner) => this.#element(section, inner));
        section.folds.set(item.key, { fold, item });
        return fold.root;
      }
      case "day":
        return dayDivider(item.at);
      case "contradiction":
        return listItem(
          item.contradiction.relation === "past" ? "contradiction causal" : "contradiction",
          contradiction(item.contradiction),
        );
    }
  }

  /** Lets folds grow, opens those that a contradiction mentions, and forgets what is no longer shown. */
  #settle(section: Section, { past, live }: Segment, all: readonly Item[]): void {
    const spokenOf = new Set(
      all.flatMap((item) => (item.type === "contradiction" ? [item.contradiction.earlier, item.contradiction.later] : [])),
    );
    const keys = new Set<string>();
    for (const item of all) {
      const known = item.type === "fold" ? section.folds.get(item.key) : undefined;
      if (known === undefined || item.type !== "fold") continue;
      keys.add(item.key);
      known.item = item;
      known.fold.update(item);
      if (spokenOf.size > 0 && item.rows.some(({ event }) => spokenOf.has(event))) known.fold.open();
    }
    for (const key of section.folds.keys()) if (!keys.has(key)) section.folds.delete(key);
    section.last = lastEvent(all[all.length - 1])?.sequence ?? null;
    if (section.rows.size <= past.length + live.length) return;
    for (const [sequence, row] of section.rows) if (!row.isConnected) section.rows.delete(sequence);
  }
}

function group(): HTMLElement {
  const element = make("div", "group");
  element.setAttribute("role", "none");
  return element;
}

function plain(events: readonly ChatEvent[]): WallRow[] {
  return events.map((event) => ({ event, contradiction: null }));
}

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/** Marks where another day begins, in the reader's time zone. It is not an event, and is not read aloud. */
function dayDivider(at: number): HTMLElement {
  const moment = new Date(at);
  const day = make("time", "", DAY.format(moment));
  day.dateTime = `${moment.getFullYear()}-${String(moment.getMonth() + 1).padStart(2, "0")}-${String(moment.getDate()).padStart(2, "0")}`;
  const divider = listItem("day", day);
  divider.setAttribute("aria-live", "off");
  return divider;
}

/** A new event, as it is read aloud if its row is not in a live region. */
function announced(event: ChatEvent, causality: Causality): string {
  const crossed = causality.crossed(event);
  const who = event.kind.type === "message" ? `${event.author.name}: ` : "";
  return visible(`Logical time ${event.logicalTime} ${who}${event.content}${crossed === null ? "" : `. ${crossing(crossed)}`}`);
}
