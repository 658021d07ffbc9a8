/** The texts beside the diagram: a line for each event, at the height of its broadcast. */

import type { Relation } from "../../../core/causality/causality.js";
import { type Diagram, EVENT_HALF, type Figure } from "../../../core/causality/diagram.js";
import { make, safely } from "../../parts/dom.js";
import { SIGN, rivalry } from "../../facts.js";
import { hueOf } from "../../parts/palette.js";

interface Line {
  readonly root: HTMLElement;
  readonly sign: HTMLElement;
  readonly key: string;
}

/** The lines. */
export class Said {
  /** The element that holds them. */
  readonly root = make("div", "said");
  readonly #sheet = make("div", "said-sheet");
  readonly #lines = new Map<bigint, Line>();

  /** Makes it, still empty. */
  constructor() {
    this.root.setAttribute("aria-hidden", "true");
    this.root.append(this.#sheet);
  }

  /** The line of an event. */
  line(sequence: bigint): HTMLElement | null {
    return this.#lines.get(sequence)?.root ?? null;
  }

  /** Shows a layout. Lines that have not changed are not touched. */
  render({ figures, top, height, saidWidth }: Diagram, scale: number): void {
    this.root.style.width = `${saidWidth * scale}px`;
    this.root.style.height = `${height * scale}px`;
    this.#sheet.style.transform = `translateY(${-top * scale}px)`;
    const kept = new Set<bigint>();
    for (const figure of figures) {
      const { sequence } = figure.event;
      kept.add(sequence);
      const key = `${figure.broadcast.y} ${scale} ${figure.event.logicalTime} ${figure.unseen.length} ${figure.unseenMore} ${figure.vector} ${figure.event.rivals?.length} ${figure.wraps}`;
      const known = this.#lines.get(sequence);
      if (known?.key === key) continue;
      const line = build(figure, key);
      line.root.style.top = `${(figure.broadcast.y - EVENT_HALF) * scale}px`;
      if (known === undefined) this.#sheet.append(line.root);
      else known.root.replaceWith(line.root);
      this.#lines.set(sequence, line);
    }
    for (const [sequence, { root }] of this.#lines) {
      if (kept.has(sequence)) continue;
      root.remove();
      this.#lines.delete(sequence);
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#lines.clear();
    this.#sheet.replaceChildren();
  }

  /** Marks a line with the sign of its event's relation to the chosen one. */
  relate(sequence: bigint, relation: Relation | null): void {
    const line = this.#lines.get(sequence);
    if (line === undefined) return;
    for (const each of Object.keys(SIGN)) line.root.classList.toggle(`is-${each}`, each === relation);
    line.sign.textContent = relation === null ? "" : SIGN[relation];
  }
}

function build({ event, unseen, unseenMore, vector, sameTime, wraps }: Figure, key: string): Line {
  const sign = make("span", "said-sign");
  const stamp = make("span", "said-time", `[${event.logicalTime}]`);
  const { kind } = event;
  const name = make("b", "name", ...safely(event.author.name));
  name.dir = "auto";
  const text = make("span", "said-text", ...(kind.type === "message" ? safely(event.content.replace(/\s+/g, " ")) : [kind.type]));
  if (kind.type === "left" && kind.disconnected) text.append(": its connection was gone");
  text.dir = "auto";
  const line = make("p", `said-line said-${kind.type} ${hueOf(event.author.name)}`, sign, stamp, name, text);
  line.dataset["sequence"] = `${event.sequence}`;
  // The line may be too short for it.
  if (kind.type === "message") line.title = text.textContent ?? "";
  const times = unseen.map((time) => `[${time}]`).join(" ");
  const crossed = unseen.length > 0 ? [`⇄ before seeing ${times}${unseenMore > 0 ? ` and ${unseenMore} more` : ""}`] : [];
  const twin = sameTime ? [`✗ same time as another event${crossed.length > 0 ? "; " : ""}`] : [];
  const rivals = rivalry(event);
  const shared = rivals === "" ? [] : [make("span", "said-rivals", `✗ ${rivals}`), ...(crossed.length > 0 ? ["; "] : [])];
  const vectors = vector === "" ? [] : [make("span", "said-vector", `⟨${vector}⟩ `)];
  const notes = [...vectors, ...twin, ...shared, ...crossed];
  if (notes.length > 0) line.append(make("span", "said-note", ...notes));
  else if (wraps) line.classList.add("said-wraps");
  return { root: line, sign, key };
}
