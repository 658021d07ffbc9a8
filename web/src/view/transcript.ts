/** The conversation: one section for each membership, each event once, in order. */

import type { ChatEvent } from "../core/event.js";
import { hasEarlier } from "../core/history.js";
import { inWords } from "../core/refusal.js";
import type { Segment, State } from "../core/state.js";
import type { Commands } from "./commands.js";
import { button, make, reconcile, setText, show } from "./dom.js";
import { entry } from "./entry.js";
import type { Palette } from "./palette.js";
import { causeDetail, causeTitle } from "./words.js";

interface Section {
  readonly root: HTMLElement;
  readonly caption: HTMLElement;
  readonly load: HTMLButtonElement;
  readonly problem: HTMLElement;
  readonly past: HTMLElement;
  readonly log: HTMLElement;
  readonly live: HTMLElement;
  shown: Segment | null;
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

  /** Brings the page up to date. */
  render(state: State): void {
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
      this.#update(section, segment, present, state);
    });
  }

  #build(segment: Segment): Section {
    const section: Section = {
      root: make("section", "segment"),
      caption: make("div", "caption"),
      load: button("Load earlier", "quiet load", () => {
        if (section.load.getAttribute("aria-disabled") !== "true") this.#commands.loadEarlier();
      }),
      problem: make("p", "problem"),
      past: make("ol", "rows past"),
      log: make("div", "log"),
      live: make("ol", "rows live"),
      shown: null,
    };
    section.problem.setAttribute("role", "alert");
    // What is loaded on demand stays outside the log: only what happens now is announced.
    section.past.setAttribute("aria-label", "Earlier");
    section.log.setAttribute("role", "log");
    section.log.setAttribute("aria-label", "Conversation, as it happens");
    section.log.append(section.live);
    if (segment.cause !== null) {
      section.caption.append(make("h2", "", causeTitle(segment.cause)), make("p", "fine", causeDetail(segment.cause)));
      section.root.classList.add("anew");
    }
    section.root.append(section.caption, make("div", "load-line", section.load, section.problem), section.past, section.log);
    this.#sections.set(segment.id, section);
    return section;
  }

  #update(section: Section, segment: Segment, present: boolean, state: State): void {
    const earlier = present && hasEarlier(state);
    // Neither disabling nor hiding it may lose the keyboard's place.
    if (!earlier && document.activeElement === section.load) section.root.closest<HTMLElement>(".scroller")?.focus();
    show(section.load, earlier);
    section.load.setAttribute("aria-disabled", String(segment.loading || state.phase.at !== "online"));
    setText(section.load, segment.loading ? "Loading…" : "Load earlier");
    setText(section.problem, segment.problem === null ? "" : inWords(segment.problem));
    section.root.classList.toggle("ended", !present);
    section.log.setAttribute("aria-busy", String(present && state.phase.at === "online" && !state.phase.caughtUp));
    if (!present) section.log.removeAttribute("role");
    if (section.shown === segment) return;
    section.shown = segment;
    const present_ids = state.roster.map((person) => person.id);
    this.#rows(section.past, segment.past, null, segment, present_ids);
    this.#rows(section.live, segment.live, segment.past[segment.past.length - 1] ?? null, segment, present_ids);
  }

  #rows(list: HTMLElement, events: readonly ChatEvent[], before: ChatEvent | null, segment: Segment, present: readonly string[]): void {
    const continued = (index: number) => follows(events[index], index === 0 ? before : (events[index - 1] ?? null));
    const earlier = (event: ChatEvent) => segment.joinedAt !== null && event.sequence < segment.joinedAt;
    show(list, events.length > 0);
    reconcile(
      list,
      events,
      (event, index) => `${event.sequence}${continued(index) ? "c" : ""}${earlier(event) ? "e" : ""}`,
      (event, index) =>
        entry(event, {
          hue: this.#palette.classOf(event.author.id, present),
          own: event.author.id === segment.selfId,
          earlier: earlier(event),
          continued: continued(index),
        }),
    );
  }
}

/** How long a run of messages of one author may pause and still need its name only once, in milliseconds. */
const PAUSE_MS = 5 * 60_000;

function follows(event: ChatEvent | undefined, previous: ChatEvent | null): boolean {
  if (event === undefined || previous === null) return false;
  if (event.kind.type !== "message" || previous.kind.type !== "message") return false;
  return event.author.id === previous.author.id && (event.recordedAt ?? 0) - (previous.recordedAt ?? 0) < PAUSE_MS;
}
