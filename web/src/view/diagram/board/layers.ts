/** Draws each event and each moment. What has not changed is not touched. */

import type { Causality } from "../../../core/causality/causality.js";
import type { Diagram, Figure } from "../../../core/causality/diagram.js";
import type { ChatEvent } from "../../../core/event.js";
import { byId } from "../../parts/dom.js";
import { RELATIONS, SIGN } from "../../facts.js";
import { hueOf } from "../../parts/palette.js";
import type { Board } from "./board.js";
import { crossings, figure, moment } from "./drawing.js";
import { draw } from "./svg.js";

/** The layers of a board. */
export class Layers {
  readonly #board: Board;
  readonly #drawn = new Map<bigint, { readonly group: SVGGElement; readonly shape: string }>();
  readonly #moments = new Map<bigint, { readonly text: SVGElement; readonly key: string }>();
  /** The marks, which also apply to events that are drawn later. */
  readonly #marks = new Map<string, (sequence: bigint) => boolean>();

  /** Draws on a board. */
  constructor(board: Board) {
    this.#board = board;
  }

  /** Whether an event is drawn. */
  has(sequence: bigint): boolean {
    return this.#drawn.has(sequence);
  }

  /** Forgets everything. */
  clear(): void {
    this.#drawn.clear();
    this.#moments.clear();
  }

  /** Draws a layout. */
  render(next: Diagram): void {
    this.#momentsOf(next);
    this.#figuresOf(next);
    for (const [name, marked] of this.#marks) this.#mark(name, marked);
  }

  /** Marks the events for which `marked` holds, and removes the mark from the others. */
  mark(name: "pointed" | "asked" | "accused", marked: (sequence: bigint) => boolean): void {
    this.#marks.set(name, marked);
    this.#mark(name, marked);
  }

  #mark(name: string, marked: (sequence: bigint) => boolean): void {
    for (const [sequence, { group }] of this.#drawn) {
      const is = marked(sequence);
      group.classList.toggle(name, is);
      this.#board.said.line(sequence)?.classList.toggle(name, is);
    }
  }

  /** Connects the messages that crossed. */
  cross(diagram: Diagram | null, of: bigint | null): void {
    this.#board.crossings.replaceChildren(...(diagram === null ? [] : crossings(diagram, of)));
  }

  /** Colors the events and marks them with signs, by their relation to the chosen one. */
  relate(causality: Causality, chosen: ChatEvent | null): void {
    const { said, plot } = this.#board;
    for (const part of [plot, said.root]) part.classList.toggle("choosing", chosen !== null);
    for (const [sequence, { group }] of this.#drawn) {
      const event = causality.event(sequence);
      const relation = chosen === null || event === undefined ? null : causality.relation(event, chosen);
      for (const each of RELATIONS) group.classList.toggle(`is-${each}`, each === relation);
      said.relate(sequence, relation);
      byId(`option-${sequence}`).setAttribute("aria-selected", String(relation === "same"));
      const glyph = group.querySelector(".glyph");
      if (glyph !== null) glyph.textContent = relation === null ? "" : SIGN[relation];
    }
  }

  #momentsOf(next: Diagram): void {
    const broadcasts = new Set(next.figures.map(({ event }) => event.logicalTime));
    const kept = new Set(next.rows.map(({ time }) => time));
    for (const [time, { text }] of this.#moments) {
      if (kept.has(time)) continue;
      text.remove();
      this.#moments.delete(time);
    }
    for (const row of next.rows) {
      const known = this.#moments.get(row.time);
      const key = `${row.y} ${next.axisWidth} ${broadcasts.has(row.time)}`;
      if (known?.key === key) continue;
      known?.text.remove();
      const text = moment(row, next, broadcasts.has(row.time));
      this.#board.axis.append(text);
      this.#moments.set(row.time, { text, key });
    }
  }

  #figuresOf(next: Diagram): void {
    const kept = new Set<bigint>();
    const { figures } = this.#board;
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
      const there = figures.children[index] ?? null;
      if (group !== undefined && group !== there) figures.insertBefore(group, there);
    });
  }
}

/** Everything that the appearance of a figure depends on. */
function shapeOf({ event, broadcast, sending, about, receipt, others, crossed }: Figure, { serviceX, width }: Diagram): string {
  const at = (spot: { x: number; y: number } | null | undefined) => (spot == null ? "" : `${spot.x},${spot.y}`);
  const parts = [
    event.logicalTime,
    at(broadcast),
    at(sending?.from),
    at(sending?.to),
    about,
    at(receipt),
    crossed,
    event.rivals?.length,
    serviceX,
    width,
  ];
  return [...parts, ...others.map(at)].join(" ");
}
