/** A run of joins and leaves, in one line that can be opened. */

import type { Relation } from "../../core/causality/causality.js";
import { visible } from "../../core/text.js";
import { itemList, listItem, make, reconcile, setText } from "../parts/dom.js";
import { type EventItem, type FoldItem, summary } from "./items.js";
import { relate } from "./marks.js";

/** One fold of the transcript. */
export class Fold {
  readonly root = listItem("fold");
  readonly #details = make("details", "");
  readonly #summary = make("span", "fold-text");
  readonly #rows = itemList("rows folded");
  #count = 0;

  /** Builds its rows with `build`. */
  constructor(
    item: FoldItem,
    private readonly build: (item: EventItem) => HTMLElement,
  ) {
    // Its rows have been read aloud already, or are read aloud elsewhere.
    this.root.setAttribute("aria-live", "off");
    this.#details.append(make("summary", "", this.#summary), this.#rows);
    this.root.append(this.#details);
    this.update(item);
  }

  /** Shows a run that has grown, or has lost its first rows. */
  update({ rows }: FoldItem): void {
    if (rows.length === this.#count) return;
    this.#count = rows.length;
    setText(this.#summary, summary(rows, isolated));
    reconcile(this.#rows, rows, ({ key }) => key, this.build);
  }

  /** Opens it, because an event in it was chosen or is mentioned. */
  open(): void {
    this.#details.open = true;
  }

  /** Marks its line if all of its rows have the same relation to the chosen event. */
  relate(relations: readonly (Relation | "")[]): void {
    const [first = ""] = relations;
    relate(this.root, relations.every((one) => one === first) ? first : "");
  }
}

/** A name from others, isolated so that its writing direction does not affect the text around it. */
function isolated(name: string): string {
  return `\u2068${visible(name)}\u2069`;
}
