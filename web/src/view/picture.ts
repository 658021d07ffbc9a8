/** The panel that draws the conversation as it happens, and where an event can be chosen. */

import type { Causality } from "../core/causality.js";
import { type Diagram, type Figure, diagram, drawnEvents, paged } from "../core/diagram.js";
import type { ChatEvent } from "../core/event.js";
import { type Places, placed, shownPeople } from "../core/lifelines.js";
import type { Segment, State } from "../core/state.js";
import { byId, empty, make, reconcile, setText, show } from "./dom.js";
import { figure, fit, ground, heads, moment } from "./drawing.js";
import { RELATIONS, SIGN, facts, placed as named } from "./facts.js";
import { hueOf } from "./palette.js";
import { sizeOf } from "./scroll.js";
import { draw } from "./svg.js";

/** The least time between two drawings, in milliseconds: a busy conversation is not slowed by its picture. */
const REDRAW_MS = 200;

/** How far from the end still counts as the bottom, in CSS pixels. */
const NEAR_PX = 30;

/** How high the names above the lifelines are, which stay in view, in CSS pixels. */
const HEADS_PX = 32;

/** What the panel tells the page. */
export interface Wishes {
  /** The user has chosen an event, or none. */
  choose(sequence: bigint | null): void;
  /** The user wants to see the chosen event in the transcript. */
  reveal(): void;
  /** The panel has been opened or closed. */
  toggled(open: boolean): void;
}

/** What is to be drawn. */
export interface View {
  readonly state: State;
  readonly segment: Segment;
  readonly causality: Causality;
  readonly chosen: ChatEvent | null;
}

/** The diagram's part of the page. */
export class Picture {
  readonly #panel = byId("picture");
  readonly #toggle = byId<HTMLButtonElement>("toggle-picture");
  readonly #scroller = byId("picture-scroller");
  /** The events as a list, for those who hear the page: the picture itself says nothing to them. */
  readonly #options = byId("picture-options");
  readonly #heads = draw("svg", { class: "heads", "aria-hidden": "true" });
  readonly #ground = draw("g", {});
  readonly #axis = draw("g", {});
  readonly #figures = draw("g", {});
  readonly #sheet = draw("g", {}, this.#axis, this.#ground, this.#figures);
  readonly #plot = draw("svg", { class: "plot", "aria-hidden": "true" }, this.#sheet);
  readonly #wishes: Wishes;
  readonly #drawn = new Map<bigint, { readonly group: SVGGElement; readonly shape: string }>();
  readonly #moments = new Map<bigint, { readonly text: SVGElement; readonly y: number }>();
  #view: View | null = null;
  #diagram: Diagram | null = null;
  #places: Places = new Map();
  #names = "";
  #shown: View | null = null;
  /** Whether the newest event is to stay in view. */
  #following = true;
  #size = "";
  #wanted: boolean;
  #drawnAt = -Infinity;
  readonly #resized = new ResizeObserver(() => {
    this.#size = sizeOf(this.#scroller);
    this.#draw(true);
  });
  #due: ReturnType<typeof setTimeout> | undefined;

  /** Takes over the panel. */
  constructor(open: boolean, wishes: Wishes) {
    this.#wishes = wishes;
    this.#scroller.append(this.#heads, this.#plot);
    this.#toggle.addEventListener("click", () => {
      this.#wanted = !this.isOpen;
      this.#open(this.#wanted);
      wishes.toggled(this.isOpen);
    });
    this.#scroller.addEventListener("keydown", (event) => this.#key(event));
    this.#plot.addEventListener("click", (event) => {
      const sequence = (event.target as Element).closest<SVGGElement>(".figure")?.dataset["sequence"];
      if (sequence !== undefined) wishes.choose(BigInt(sequence));
    });
    this.#scroller.addEventListener(
      "scroll",
      () => {
        if (this.#size === sizeOf(this.#scroller)) this.#following = this.#atEnd();
      },
      { passive: true },
    );
    this.#resized.observe(this.#scroller);
    this.#wanted = open;
    this.#open(open);
  }

  /** Whether the panel can be seen. */
  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  /** Draws what is new, at once or a little later. A closed panel costs nothing. */
  render(view: View): void {
    this.#view = view;
    if (!this.isOpen || document.hidden) return;
    const wait = this.#drawnAt + REDRAW_MS - performance.now();
    // What the user does is answered at once.
    if (wait <= 0 || this.#shown?.chosen !== view.chosen) return this.#draw(false);
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#draw(false);
    }, wait);
  }

  /** Draws no more: the panel is being taken out of the page. */
  stop(): void {
    this.#resized.disconnect();
    clearTimeout(this.#due);
    this.#view = null;
  }

  /** Whether the panel is open where there are no tabs. */
  get isWanted(): boolean {
    return this.#wanted;
  }

  /** Shows or hides the panel as a tab wants it; with null, as the user last wanted it. */
  arrange(open: boolean | null): void {
    if (this.isOpen !== (open ?? this.#wanted)) this.#open(open ?? this.#wanted);
  }

  #open(open: boolean): void {
    show(this.#panel, open);
    byId("room").classList.toggle("picture-open", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
  }

  #draw(resized: boolean): void {
    const view = this.#view;
    if (view === null || !this.isOpen) return;
    const before = this.#shown;
    const same = before !== null && before.segment === view.segment && before.state.roster === view.state.roster;
    if (before?.segment.id !== view.segment.id) this.#clear();
    if (!same || resized) this.#lay(view);
    // Where nothing is chosen, nothing has a relation to it.
    if (view.chosen === null ? before?.chosen !== null : !same || resized || before?.chosen !== view.chosen)
      this.#relate(view, before?.chosen !== view.chosen, resized);
    this.#shown = view;
    this.#drawnAt = performance.now();
  }

  /** Another membership is another conversation, or another part of it: nothing of the last one stays. */
  #clear(): void {
    this.#drawn.clear();
    this.#moments.clear();
    this.#places = new Map();
    this.#following = true;
    this.#diagram = null;
    for (const drawn of [this.#axis, this.#figures]) drawn.replaceChildren();
    empty(this.#options);
  }

  #lay({ state, segment, causality }: View): void {
    const self = state.session === null ? null : { id: segment.selfId, name: state.session.name };
    const people = shownPeople(drawnEvents(causality), state.roster, self);
    this.#places = placed(this.#places, people);
    const room = this.#scroller.clientWidth;
    const next = diagram({ causality, people, places: this.#places, selfId: segment.selfId, room, before: this.#diagram });
    for (const [svg, height] of [
      [this.#heads, HEADS_PX],
      [this.#plot, next.height],
    ] as const) {
      svg.setAttribute("width", String(next.width));
      svg.setAttribute("height", String(height));
    }
    this.#sheet.setAttribute("transform", `translate(0 ${-next.top})`);
    // Sorted by place: the order of lifelines follows the latest authors, and fitting a name costs a layout.
    const across = next.lifelines.map(({ person, x }) => `${x} ${person.name}`).sort();
    const names = [next.width, next.serviceX, ...across].join("\n");
    if (names !== this.#names) {
      this.#heads.replaceChildren(...heads(next, segment.selfId));
      fit(this.#heads);
    }
    this.#names = names;
    this.#ground.replaceChildren(...ground(next));
    this.#momentsOf(next);
    this.#figuresOf(next);
    reconcile(
      this.#options,
      next.figures,
      ({ event }) => `${event.sequence}`,
      ({ event }) => option(event),
    );
    if (next.figures.length > 0) this.#scroller.setAttribute("role", "listbox");
    else this.#scroller.removeAttribute("role");
    setText(byId("picture-size"), extentOf(next));
    this.#settle(next);
    this.#diagram = next;
  }

  #momentsOf({ rows }: Diagram): void {
    const kept = new Set(rows.map(({ time }) => time));
    for (const [time, { text }] of this.#moments) {
      if (kept.has(time)) continue;
      text.remove();
      this.#moments.delete(time);
    }
    for (const row of rows) {
      const known = this.#moments.get(row.time);
      if (known?.y === row.y) continue;
      known?.text.remove();
      const text = moment(row);
      this.#axis.append(text);
      this.#moments.set(row.time, { text, y: row.y });
    }
  }

  /** What stays the same is not touched. */
  #figuresOf(next: Diagram): void {
    const kept = new Set<bigint>();
    for (const one of next.figures) {
      const { sequence, author } = one.event;
      kept.add(sequence);
      const shape = shapeOf(one, next) + hueOf(author.name);
      if (this.#drawn.get(sequence)?.shape === shape) continue;
      const known = this.#drawn.get(sequence)?.group;
      const group = known ?? draw("g", { id: `figure-${sequence}`, "data-sequence": `${sequence}` });
      group.setAttribute("class", `figure ${hueOf(author.name)}`);
      group.replaceChildren(...figure(one, next));
      this.#drawn.set(sequence, { group, shape });
    }
    for (const [sequence, { group }] of this.#drawn) {
      if (kept.has(sequence)) continue;
      group.remove();
      this.#drawn.delete(sequence);
    }
    next.figures.forEach(({ event: { sequence } }, index) => {
      const group = this.#drawn.get(sequence)?.group;
      const there = this.#figures.children[index] ?? null;
      if (group !== undefined && group !== there) this.#figures.insertBefore(group, there);
    });
  }

  /** Colours the events, and signs them, by how they stand to the chosen one; and says it in words. */
  #relate({ causality, chosen }: View, anew: boolean, resized: boolean): void {
    this.#plot.classList.toggle("choosing", chosen !== null);
    for (const [sequence, { group }] of this.#drawn) {
      const event = causality.event(sequence);
      const relation = chosen === null || event === undefined ? null : causality.relation(event, chosen);
      for (const each of RELATIONS) group.classList.toggle(`is-${each}`, each === relation);
      byId(`option-${sequence}`).setAttribute("aria-selected", String(relation === "same"));
      const glyph = group.querySelector(".glyph");
      if (glyph !== null) glyph.textContent = relation === null ? "" : SIGN[relation];
    }
    if (chosen === null || !this.#drawn.has(chosen.sequence)) this.#scroller.removeAttribute("aria-activedescendant");
    else this.#scroller.setAttribute("aria-activedescendant", `option-${chosen.sequence}`);
    this.#say(chosen === null ? [] : facts(chosen, causality), anew);
    if (chosen !== null && (anew || resized)) this.#bringIntoView(chosen.sequence);
  }

  #say(known: ReturnType<typeof facts>, anew: boolean): void {
    show(byId("picture-help"), known.length === 0);
    show(byId("facts"), known.length > 0);
    reconcile(
      byId("facts"),
      known,
      ({ relation, text }) => `${relation} ${text}`,
      ({ relation, text }) => {
        const sign = make("span", "sign", SIGN[relation]);
        sign.setAttribute("aria-hidden", "true");
        return make("li", `fact is-${relation}`, sign, make("span", "", text));
      },
    );
    // Read aloud when the user has chosen, and not at each event that comes afterwards.
    if (anew) setText(byId("facts-said"), known.map(({ text }) => text).join(" "));
  }

  #key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
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
    else if (event.key === "Escape") this.#wishes.choose(null);
    else if (event.key === "Enter" && chosen === null) this.#wishes.choose(events[last]?.sequence ?? null);
    else if (event.key === "Enter") this.#wishes.reveal();
    else return;
    event.preventDefault();
  }

  #page(from: number, step: 1 | -1): number {
    return paged(this.#diagram?.figures ?? [], from, step, this.#scroller.clientHeight - HEADS_PX);
  }

  #atEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  /** A reader at the newest event stays there; for one who has scrolled up nothing moves. */
  #settle(next: Diagram): void {
    // What does not fit is scrolled sideways: the service and this page's own lifeline are in the middle.
    if (this.#diagram?.width !== next.width)
      this.#scroller.scrollLeft = next.serviceX - next.laneWidth / 2 - this.#scroller.clientWidth / 2;
    if (this.#following) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      return;
    }
    const anchor = next.figures[0];
    const before = this.#diagram?.figures.find(({ event }) => event.sequence === anchor?.event.sequence);
    if (anchor === undefined || before === undefined || this.#diagram === null) return;
    this.#scroller.scrollTop += anchor.broadcast.y - next.top - (before.broadcast.y - this.#diagram.top);
  }

  #bringIntoView(sequence: bigint): void {
    const begin = this.#diagram?.top ?? 0;
    const found = this.#diagram?.figures.find(({ event }) => event.sequence === sequence);
    if (found === undefined) return;
    const { clientHeight, clientWidth, scrollTop, scrollLeft } = this.#scroller;
    const writer = found.sending?.from.x ?? found.about ?? found.broadcast.x;
    const [left, right] = [Math.min(writer, found.broadcast.x) - 30, Math.max(writer, found.broadcast.x) + 60];
    if (left < scrollLeft || right > scrollLeft + clientWidth) this.#scroller.scrollLeft = (left + right - clientWidth) / 2;
    const top = Math.min(found.broadcast.y, found.sending?.from.y ?? found.broadcast.y) - begin - 30;
    const bottom = Math.max(found.broadcast.y, found.receipt?.y ?? 0) - begin + 80;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.#scroller.scrollTop = Math.min(top, bottom - clientHeight);
  }
}

/** What is not in the picture is said to be so. */
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

/** All that the look of a figure depends on. */
function shapeOf({ event, broadcast, sending, about, receipt, crossed }: Figure, { serviceX, width }: Diagram): string {
  const at = (spot: { x: number; y: number } | null | undefined) => (spot == null ? "" : `${spot.x},${spot.y}`);
  return [event.logicalTime, at(broadcast), at(sending?.from), at(sending?.to), about, at(receipt), crossed, serviceX, width].join(" ");
}
