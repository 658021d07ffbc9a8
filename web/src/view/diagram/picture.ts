/** Draws the conversation as it happens, and lets the user choose an event. */

import { type Diagram, type Receipts, diagram, drawnEvents, paged } from "../../core/causality/diagram.js";
import { type Line, SERVICE } from "../../core/causality/cut.js";
import type { ChatEvent, Person } from "../../core/event.js";
import { type Places, chooser, crossers, placed, shownPeople } from "../../core/causality/lifelines.js";
import { Vectors } from "../../core/replay/vector.js";
import { byId, empty, make, reconcile, setText, show } from "../parts/dom.js";
import { type Fact, SIGN, facts, placed as named } from "../facts.js";
import type { Drawing, View, Wishes } from "../panel.js";
import { Board } from "./board/board.js";
import { Choosing } from "./choosing.js";
import { Cutting } from "./cutting.js";
import { ground } from "./board/drawing.js";
import { fit, heads } from "./board/heads.js";
import { Layers } from "./board/layers.js";
import { legend } from "./legend.js";
import { Lenses } from "./lenses.js";
import { Quizzing } from "./quizzing.js";
import { Tools } from "./tools.js";
import { factWords, vectorFacts, vectorWords } from "./words.js";

/** The minimum time between two drawings, in milliseconds: a busy conversation is not slowed by its picture. */
const REDRAW_MS = 200;

/** How many participants the menu of lifelines names. */
const NAMED_MAX = 100;

/** The diagram. */
export class Picture implements Drawing {
  /** The events as a list for screen readers, which cannot read the picture. */
  readonly #options = byId("picture-options");
  readonly #board: Board;
  readonly #choosing: Choosing;
  readonly #tools: Tools;
  readonly #lenses: Lenses;
  readonly #cutting = new Cutting();
  readonly #quizzing: Quizzing;
  readonly #wishes: Wishes;
  readonly #layers: Layers;
  #view: View | null = null;
  #diagram: Diagram | null = null;
  #places: Places = new Map();
  #names = "";
  #shown: View | null = null;
  #pointed: bigint | null = null;
  /** The event that a question is about, or the one nearest to a question's cut. */
  #asked: bigint | null = null;
  /** Whether vector clocks are shown. */
  #vectors = false;
  /** The last event that is drawn while the picture is paused; null while it is live. */
  #upTo: bigint | null = null;
  #open = true;
  #drawnAt = -Infinity;
  readonly #resized = new ResizeObserver(() => {
    this.#board.resized();
    this.#draw(true);
  });
  #due: ReturnType<typeof setTimeout> | undefined;

  /** Fills the panel. */
  constructor(wishes: Wishes) {
    this.#wishes = wishes;
    this.#board = new Board((following) => this.#tools.following(following));
    this.#layers = new Layers(this.#board);
    this.#choosing = new Choosing({ chose: () => this.#draw(true), sort: () => this.#sort() });
    this.#lenses = new Lenses({
      toggled: () => this.#draw(true),
      choose: (sequence) => this.#choose(sequence),
      skew: wishes.skew,
    });
    this.#quizzing = new Quizzing({
      mark: (sequences) => this.#mark(sequences),
      cut: (line) => this.#preset(line),
      toggled: (open) => {
        this.#lenses.toggle(false);
        if (open) this.#choose(null);
      },
    });
    this.#board.front.append(this.#cutting.front);
    const replayed = byId("room").classList.contains("replaying");
    this.#tools = new Tools([this.#choosing.button, this.#lenses.button, this.#cutting.button, this.#quizzing.button], legend(replayed), {
      freeze: (frozen) => this.#freeze(frozen),
      newest: () => this.#toNewest(),
      vectors: (shown) => {
        this.#vectors = shown;
        this.#draw(true);
      },
      resized: () => this.#draw(true),
    });
    this.#tools.following(true);
    this.#listen();
    this.#resized.observe(this.#board.scroller);
  }

  /** Draws what is new, at once or a little later. */
  render(view: View): void {
    this.#view = view;
    if (!this.#open || document.hidden) return;
    // What the user does is shown at once.
    if (this.#shown === null || this.#shown.chosen !== view.chosen) return this.#draw(false);
    // New events are drawn in a task separate from the transcript's, so that a key press never waits for both.
    const wait = Math.max(0, this.#drawnAt + REDRAW_MS - performance.now());
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#draw(false);
    }, wait);
  }

  /** The panel has been opened or closed. */
  shown(open: boolean): void {
    this.#open = open;
    if (!open) this.#tools.present(false);
  }

  /** Stops drawing: the panel is being removed from the page. */
  stop(): void {
    this.#resized.disconnect();
    this.#tools.stop();
    clearTimeout(this.#due);
    this.#view = null;
  }

  /** Marks an event that the user points at. */
  point(sequence: bigint | null): void {
    if (sequence === this.#pointed) return;
    this.#layers.mark("pointed", (one) => one === sequence);
    this.#pointed = sequence;
    this.#cross();
  }

  #listen(): void {
    const { scroller, heads } = this.#board;
    const sequenceAt = (target: EventTarget | null) =>
      (target as Element).closest<HTMLElement | SVGElement>(".board [data-sequence]")?.dataset["sequence"];
    scroller.addEventListener("keydown", (event) => this.#key(event));
    scroller.addEventListener("click", ({ target }) => {
      const sequence = sequenceAt(target);
      if (sequence !== undefined && getSelection()?.isCollapsed !== false) this.#choose(BigInt(sequence));
    });
    heads.addEventListener("click", ({ target }) => {
      const head = (target as Element).closest<SVGElement>("g[data-id]");
      if (head !== null && head.dataset["id"] !== "") this.#choosing.openHead(head, head.dataset["id"] ?? "");
    });
    const pointTo = (sequence: bigint | null) => {
      if (sequence === this.#pointed) return;
      this.point(sequence);
      this.#wishes.point(sequence);
    };
    scroller.addEventListener("pointerover", ({ target }) => {
      const sequence = sequenceAt(target);
      pointTo(sequence === undefined ? null : BigInt(sequence));
    });
    scroller.addEventListener("pointerleave", () => pointTo(null));
  }

  /** Chooses an event, unless the quiz takes it as an answer. */
  #choose(sequence: bigint | null): void {
    if (sequence === null || !this.#quizzing.picked(sequence)) this.#wishes.choose(sequence);
  }

  /** Marks the events that a question is about. */
  #mark(sequences: readonly bigint[]): void {
    this.#layers.mark("asked", (one) => sequences.includes(one));
    this.#ask(sequences[0] ?? null);
  }

  /** Shows the cut that a question is about, or none. */
  #preset(line: Line | null): void {
    this.#cutting.preset(line);
    const inside = line?.get(SERVICE) ?? 0n;
    const near = this.#diagram?.figures.filter(({ event }) => event.logicalTime <= inside).at(-1);
    this.#ask(near?.event.sequence ?? null);
  }

  /** Keeps the event that a question is about in view, even when the picture is resized. */
  #ask(sequence: bigint | null): void {
    this.#asked = sequence;
    if (sequence !== null) this.#bringIntoView(sequence);
  }

  #draw(resized: boolean): void {
    const view = this.#view;
    if (view === null || !this.#open || this.#board.scroller.clientWidth === 0) return;
    byId("picture-legend").classList.toggle("with-faults", (view.shades ?? []).length > 0);
    const before = this.#shown;
    const same =
      before !== null && before.segment === view.segment && before.state.roster === view.state.roster && before.shades === view.shades;
    if (before !== null && before.segment.id !== view.segment.id) this.#clear();
    if (this.#upTo !== null) this.#tools.waiting(view.causality.events.filter(({ sequence }) => sequence > this.#upTo!).length);
    const lays = resized || (!same && this.#upTo === null);
    if (lays) this.#lay(view);
    // Without a chosen event there are no relations to show.
    if (view.chosen === null ? before?.chosen !== null : lays || before?.chosen !== view.chosen)
      this.#relate(view, before?.chosen !== view.chosen, resized);
    this.#shown = view;
    this.#cross();
    this.#beside(view);
    if (resized && this.#asked !== null) this.#bringIntoView(this.#asked);
    this.#drawnAt = performance.now();
  }

  /** Updates what is shown beside the picture, or in its place. */
  #beside(view: View): void {
    if (this.#diagram === null) return;
    const { figures } = this.#diagram;
    const { accused } = view;
    if (accused !== undefined) this.#layers.mark("accused", (one) => accused.has(one));
    const events = figures.map(({ event }) => event);
    this.#lenses.render(events, view.causality, view.chosen?.sequence ?? null);
    this.#cutting.render({ diagram: this.#diagram, events, receipts: view.receipts ?? ownReceipts(view, events) });
    this.#quizzing.render(events, view.causality);
  }

  /** Clears the picture: another membership is another conversation, or another part of it. */
  #clear(): void {
    this.#layers.clear();
    this.#places = new Map();
    this.#diagram = null;
    this.#pointed = null;
    this.#choosing.reset();
    this.#tools.thaw();
    this.#board.clear();
    empty(this.#options);
  }

  #events({ causality }: View): readonly ChatEvent[] {
    const upTo = this.#upTo;
    const events = upTo === null ? causality.events : causality.events.filter(({ sequence }) => sequence <= upTo);
    return drawnEvents(events, chooser(this.#choosing.choice, causality));
  }

  #lay(view: View): void {
    const { state, segment, causality } = view;
    const wanted = chooser(this.#choosing.choice, causality);
    const is = (person: Person) => wanted?.(person.id) ?? true;
    const self = state.session === null || segment.selfId === "" ? null : { id: segment.selfId, name: state.session.name };
    const events = this.#events(view);
    const people = shownPeople(events, state.roster.filter(is), self !== null && is(self) ? self : null, crossers(causality, null));
    this.#places = placed(this.#places, people);
    const before = this.#diagram;
    const vectors = this.#vectors ? new Vectors(causality.events) : null;
    const next = diagram({
      causality,
      events,
      people,
      places: this.#places,
      selfId: segment.selfId,
      room: this.#board.room,
      before,
      receipts: view.receipts,
      shades: view.shades,
      vectorOf: vectors === null ? undefined : (event) => vectorWords(vectors.of(event)),
    });
    this.#board.lay(next);
    // Sorted by place: the order of lifelines follows the latest authors, and fitting a name costs a layout.
    const across = next.lifelines.map(({ person, x }) => `${x} ${person.name}`).sort();
    const names = [next.width, next.serviceX, this.#board.scale, ...across].join("\n");
    if (names !== this.#names) {
      this.#board.heads.replaceChildren(...heads(next, segment.selfId));
      fit(this.#board.heads);
    }
    this.#names = names;
    this.#board.ground.replaceChildren(...ground(next));
    this.#layers.render(next);
    reconcile(
      this.#options,
      next.figures,
      ({ event }) => `${event.sequence}`,
      ({ event }) => option(event),
    );
    if (next.figures.length > 0) this.#board.scroller.setAttribute("role", "listbox");
    else this.#board.scroller.removeAttribute("role");
    setText(byId("picture-size"), extentOf(next));
    this.#choosing.people(known(view, self));
    this.#board.settle(next, before);
    this.#diagram = next;
  }

  #cross(): void {
    this.#layers.cross(this.#diagram, this.#pointed ?? this.#shown?.chosen?.sequence ?? null);
  }

  /** Shows the events' relations to the chosen one, in words too. */
  #relate({ causality, chosen }: View, anew: boolean, resized: boolean): void {
    const { scroller } = this.#board;
    this.#layers.relate(causality, chosen);
    if (chosen === null || !this.#layers.has(chosen.sequence)) scroller.removeAttribute("aria-activedescendant");
    else scroller.setAttribute("aria-activedescendant", `option-${chosen.sequence}`);
    const vectors = this.#vectors && chosen !== null ? vectorFacts(chosen, new Vectors(causality.events)) : [];
    this.#say(chosen === null ? [] : [...facts(chosen, causality), ...vectors], anew);
    if (chosen !== null && (anew || resized)) this.#bringIntoView(chosen.sequence);
  }

  #say(known: readonly Fact[], anew: boolean): void {
    show(byId("picture-help"), known.length === 0);
    show(byId("facts"), known.length > 0);
    reconcile(
      byId("facts"),
      known,
      ({ relation, text }) => `${relation} ${text}`,
      (fact) => {
        const sign = make("span", "sign", SIGN[fact.relation]);
        sign.setAttribute("aria-hidden", "true");
        return make("li", `fact is-${fact.relation}`, sign, make("span", "", ...factWords(fact)));
      },
    );
    // Read aloud when the user chooses an event, but not each time another event arrives.
    if (anew) setText(byId("facts-said"), known.map(({ text }) => text).join(" "));
  }

  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target !== this.#board.scroller) return;
    const events = this.#diagram?.figures.map((one) => one.event) ?? [];
    const chosen = this.#view?.chosen ?? null;
    const at = events.findIndex((one) => one.sequence === chosen?.sequence);
    const last = events.length - 1;
    const to: Readonly<Record<string, number>> = {
      ArrowDown: at < 0 ? last : Math.min(at + 1, last),
      ArrowRight: at < 0 ? last : Math.min(at + 1, last),
      ArrowUp: at < 0 ? last : Math.max(at - 1, 0),
      ArrowLeft: at < 0 ? last : Math.max(at - 1, 0),
      PageDown: at < 0 ? last : this.#page(at, 1),
      PageUp: at < 0 ? last : this.#page(at, -1),
      Home: 0,
      End: last,
    };
    const next = to[event.key];
    if (next !== undefined) this.#wishes.choose(events[next]?.sequence ?? null);
    else if (event.key === "Escape" && chosen !== null) this.#wishes.choose(null);
    else if (event.key === "Enter" && this.#quizzing.picked(chosen?.sequence ?? null)) event.preventDefault();
    else if (event.key === "Enter" && chosen === null) this.#wishes.choose(events[last]?.sequence ?? null);
    else if (event.key === "Enter") this.#wishes.reveal();
    else return;
    event.preventDefault();
  }

  #page(from: number, step: 1 | -1): number {
    const { figures } = this.#diagram ?? { figures: [] };
    return paged(figures, from, step, this.#diagram === null ? 0 : this.#board.seenHeight(this.#diagram));
  }

  #bringIntoView(sequence: bigint): void {
    const found = this.#diagram?.figures.find(({ event }) => event.sequence === sequence);
    if (found !== undefined && this.#diagram !== null) this.#board.bringIntoView(found, this.#diagram);
  }

  #freeze(frozen: boolean): void {
    const events = this.#view?.causality.events ?? [];
    this.#upTo = frozen ? (events[events.length - 1]?.sequence ?? 0n) : null;
    this.#tools.following(this.#board.following);
    this.#draw(true);
  }

  #toNewest(): void {
    this.#tools.thaw();
    this.#board.toNewest();
    this.#tools.following(true);
    this.#board.scroller.focus({ preventScroll: true });
  }

  /** Gives those who crossed the places beside the service. */
  #sort(): void {
    this.#places = new Map();
    this.#draw(true);
  }
}

/** What this page itself received. */
function ownReceipts({ segment }: View, events: readonly ChatEvent[]): Receipts {
  const own = events.flatMap(({ sequence, receipt }): [number, bigint][] => (receipt === null ? [] : [[Number(sequence), receipt]]));
  return new Map([[segment.selfId, new Map(own)]]);
}

function known({ state, causality }: View, self: Person | null): readonly Person[] {
  const found = new Map<string, Person>(self === null ? [] : [[self.id, self]]);
  for (const { author } of [...causality.events].reverse()) if (found.size < NAMED_MAX) found.set(author.id, author);
  for (const person of state.roster.slice(0, NAMED_MAX)) if (found.size < NAMED_MAX) found.set(person.id, person);
  return [...found.values()];
}

/** Says what the picture leaves out. */
function extentOf({ before, figures, absent }: Diagram): string {
  const events = before > 0 ? [`The newest ${figures.length} events`] : [];
  const people = absent > 0 ? [`${absent} participants have no lifeline here`] : [];
  return [...events, ...people].join("; ");
}

function option(event: ChatEvent): HTMLElement {
  const item = make("li", "", named(event));
  item.id = `option-${event.sequence}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  return item;
}
