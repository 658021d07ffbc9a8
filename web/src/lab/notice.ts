/** Tells the user of a page what the lab does to it. */

import type { State } from "../core/machine/state.js";
import { byId, make, setText, show } from "../view/parts/dom.js";
import { notice } from "./words.js";

/** A line above the message box. */
export class Notice {
  readonly #line = make("p", "lab-notice");

  /** Adds the line, unseen. */
  constructor() {
    this.#line.setAttribute("role", "status");
    this.#line.hidden = true;
    byId("composer").before(this.#line);
  }

  /** Shows what has changed. */
  render(state: State): void {
    const text = state.phase.at === "online" ? notice(state.labFaults) : "";
    setText(this.#line, text);
    show(this.#line, text !== "");
  }
}
