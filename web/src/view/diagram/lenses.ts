/** The same events under another order, side by side with the service's. */

import type { Causality } from "../../core/causality/causality.js";
import type { ChatEvent, Person } from "../../core/event.js";
import { type Lens, type Lensed, type Pair, look } from "../../core/causality/lens.js";
import { visible } from "../../core/text.js";
import { button, byId, make, safely, setText, show } from "../parts/dom.js";
import { titled } from "../facts.js";
import { hueOf } from "../parts/palette.js";
import { draw } from "./board/svg.js";

const NAMES: readonly (readonly [Lens["name"], string])[] = [
  ["causal", "Causal order"],
  ["fifo", "Per sender only (FIFO)"],
  ["arrival", "One participant’s screen"],
  ["wall", "Senders’ wall clocks"],
  ["total", "The service’s order"],
];

const PROMISES: Readonly<Record<Lens["name"], string>> = {
  total: "Everybody gets the same events in the same order. Nothing may be swapped.",
  causal:
    "An effect comes after its causes. Only concurrent messages may be swapped, and then two participants may see them in different orders.",
  fifo: "The events of one sender stay in the order in which it sent them. Events of different senders may be swapped.",
  arrival:
    "A screen that shows its own messages at once puts them before those that have not arrived yet. Each participant sees a different order.",
  wall: "Events are ordered by the wall clocks of their senders. A wrong clock can put an effect before its cause.",
};

/** How high a row is. */
const ROW_REM = 1.375;

/** How many causes a row names if its event comes before them. */
const CAUSES_NAMED = 3;

/** What the view asks of the picture. */
export interface LensWishes {
  /** The view was opened or closed. */
  toggled(): void;
  /** The user has chosen an event. */
  choose(sequence: bigint): void;
  /** Sets this page’s wall clock ahead by this many seconds. */
  skew?: ((seconds: number) => void) | undefined;
}

/** The view. */
export class Lenses {
  /** The button that opens it. */
  readonly button = button("Lenses", "small", () => this.toggle(this.root.hidden));
  /** The view itself. */
  readonly root = make("div", "lenses drawn");
  readonly #wishes: LensWishes;
  readonly #which = make("select", "");
  readonly #reader = make("select", "");
  readonly #readerLabel = make("label", "picker", make("span", "", "Whose"), this.#reader);
  readonly #skew = make("div", "");
  readonly #promise = make("p", "");
  readonly #count = make("p", "lens-count");
  readonly #left = make("ol", "lens-order");
  readonly #right = make("ol", "lens-order");
  readonly #lines = draw("svg", { class: "lens-lines", preserveAspectRatio: "none", "aria-hidden": "true" });
  #events: readonly ChatEvent[] = [];
  #causality: Causality | null = null;
  #chosen: bigint | null = null;
  #key = "";

  /** Puts the view into the panel, where it takes the picture's place while it is open. */
  constructor(wishes: LensWishes) {
    this.#wishes = wishes;
    this.button.title = "The same events under another order";
    this.button.setAttribute("aria-pressed", "false");
    for (const [name, text] of NAMES) this.#which.append(new Option(text, name));
    this.#which.name = "lens";
    this.#reader.name = "lens-reader";
    for (const select of [this.#which, this.#reader]) select.addEventListener("change", () => this.#render());
    this.#count.setAttribute("role", "status");
    const which = make("label", "picker", make("span", "", "Lens"), this.#which);
    const orders = make("div", "lens-orders", this.#left, this.#lines, this.#right);
    this.#skew.append(...(wishes.skew === undefined ? [] : [skewField(wishes.skew)]));
    this.root.append(make("div", "lens-head", which, this.#readerLabel, this.#skew), this.#promise, this.#count, orders);
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "region");
    this.root.setAttribute("aria-label", "Lenses");
    this.#left.setAttribute("aria-label", "The service’s order");
    this.root.addEventListener("click", ({ target }) => {
      const sequence = (target as Element).closest<HTMLElement>("li[data-sequence]")?.dataset["sequence"];
      if (sequence !== undefined) wishes.choose(BigInt(sequence));
    });
    byId("picture-scroller").after(this.root);
    show(this.root, false);
  }

  /** Whether it is open. */
  get isOpen(): boolean {
    return !this.root.hidden;
  }

  /** Opens or closes it. */
  toggle(open: boolean): void {
    if (open === this.isOpen) return;
    show(this.root, open);
    byId("picture-scroller").classList.toggle("covered", open);
    byId("picture").classList.toggle("lensed", open);
    this.button.setAttribute("aria-pressed", String(open));
    this.#key = "";
    this.#wishes.toggled();
  }

  /**
   * Takes over the events that the picture shows. Lenses show only messages: a join says nothing about its causes.
   */
  render(events: readonly ChatEvent[], causality: Causality, chosen: bigint | null): void {
    this.#events = events.filter(({ kind }) => kind.type === "message");
    [this.#causality, this.#chosen] = [causality, chosen];
    if (this.isOpen) this.#render();
  }

  #render(): void {
    const causality = this.#causality;
    if (causality === null) return;
    const writers = writersOf(this.#events);
    const name = this.#which.value as Lens["name"];
    show(this.#readerLabel, name === "arrival");
    show(this.#skew, name === "wall");
    const reader = writers.some(({ id }) => id === this.#reader.value) ? this.#reader.value : (writers[0]?.id ?? "");
    const ends = [this.#events[0]?.sequence, this.#events[this.#events.length - 1]?.sequence, this.#events.length, causality.events.length];
    const key = [name, reader, this.#chosen, ...ends].join(" ");
    if (key === this.#key) return;
    this.#key = key;
    this.#reader.replaceChildren(...writers.map(({ id, name }) => new Option(visible(name), id, id === reader, id === reader)));
    const lens: Lens = name === "arrival" ? { name, reader } : { name };
    const seen = look(lens, this.#events, causality);
    setText(this.#promise, PROMISES[name]);
    setText(this.#count, counted(seen, this.#events.length));
    this.#right.setAttribute("aria-label", NAMES.find(([one]) => one === name)?.[1] ?? "");
    this.#show(seen);
  }

  #show({ order, swapped, wrong }: Lensed): void {
    const places = new Map(order.map(({ sequence }, index) => [sequence, index]));
    const bad = wrong.filter(([first, second]) => places.get(first.sequence)! > places.get(second.sequence)!);
    const causes = new Map<bigint, ChatEvent[]>();
    for (const [first, second] of bad) causes.set(second.sequence, [...(causes.get(second.sequence) ?? []), first]);
    const inBad = new Set(bad.flatMap((pair) => pair.map(({ sequence }) => sequence)));
    const moved = new Set(swapped.flatMap((pair) => pair.map(({ sequence }) => sequence)));
    const look = ({ sequence }: ChatEvent) => (inBad.has(sequence) ? "wrong" : moved.has(sequence) ? "moved" : "");
    this.#left.replaceChildren(...this.#events.map((event) => this.#row(event, look(event), [])));
    this.#right.replaceChildren(...order.map((event) => this.#row(event, look(event), causes.get(event.sequence) ?? [])));
    this.#lines.setAttribute("viewBox", `0 0 100 ${Math.max(1, order.length)}`);
    this.#lines.style.height = `${order.length * ROW_REM}rem`;
    const line = (event: ChatEvent, index: number) => {
      const to = places.get(event.sequence)! + 0.5;
      const chosen = event.sequence === this.#chosen ? " chosen" : "";
      return draw("path", {
        class: `lens-line ${look(event)}${chosen} ${hueOf(event.author.name)}`,
        d: `M0 ${index + 0.5}C40 ${index + 0.5} 60 ${to} 100 ${to}`,
      });
    };
    this.#lines.replaceChildren(...this.#events.map(line));
  }

  #row(event: ChatEvent, look: string, causes: readonly ChatEvent[]): HTMLElement {
    const { kind } = event;
    const name = make("b", "name", ...safely(event.author.name));
    const text = make("span", "said-text", ...(kind.type === "message" ? safely(event.content.replace(/\s+/g, " ")) : [kind.type]));
    text.dir = name.dir = "auto";
    const row = make("li", `said-line said-${kind.type} ${look} ${hueOf(event.author.name)}`);
    row.dataset["sequence"] = `${event.sequence}`;
    if (event.sequence === this.#chosen) row.classList.add("is-same");
    const main = make("span", "lens-text", make("span", "said-time", `[${event.logicalTime}]`), name, text);
    row.append(main);
    if (causes.length > 0) {
      const named = causes.slice(0, CAUSES_NAMED).map(({ logicalTime }) => `[${logicalTime}]`);
      const more = causes.length > CAUSES_NAMED ? ` and ${causes.length - CAUSES_NAMED} more` : "";
      row.append(make("span", "lens-wrong", `✗ before ${named.join(" ")}${more}`));
      row.title = `${titled(event)} comes before ${causes.slice(0, CAUSES_NAMED).map(titled).join(", ")}${more}`;
    }
    return row;
  }
}

/** Makes this page’s own wall clock wrong, to show the effect. */
function skewField(skew: (seconds: number) => void): HTMLElement {
  const field = make("input", "skew");
  Object.assign(field, { type: "number", value: "0", step: "1", min: "-86400", max: "86400", name: "skew" });
  field.addEventListener("change", () => skew(field.valueAsNumber || 0));
  return make("label", "picker", make("span", "", "This page’s clock is ahead by"), field, "s");
}

function writersOf(events: readonly ChatEvent[]): Person[] {
  return [...new Map(events.flatMap(({ kind, author }) => (kind.type === "message" ? [[author.id, author]] : []))).values()];
}

/** How many pairs a lens may swap, and what is wrong with them, in words. */
function counted({ swappable, wrong, swapped }: Lensed, events: number): string {
  const all = (events * (events - 1)) / 2;
  const answers = wrong.filter((pair) => isAnswer(pair)).length;
  const may = `It may swap ${swappable.length} of ${all} pairs; the order on the right swaps ${swapped.length}.`;
  if (swappable.length === 0) return may;
  if (wrong.length === 0) return `${may} None of them is a cause and its effect.`;
  if (answers === wrong.length) return `${may} ${answers} of them are a message and an answer to it: the answer could come first.`;
  return `${may} ${wrong.length} of them are a cause and its effect, ${answers} of these a message and an answer to it.`;
}

function isAnswer([first, second]: Pair): boolean {
  return first.kind.type === "message" && second.kind.type === "message" && first.author.id !== second.author.id;
}
