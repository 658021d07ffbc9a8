/** Where the user writes: counts as the service counts, and keeps the focus. */

import type { State } from "../core/machine/state.js";
import { wellFormed } from "../core/text.js";
import type { Commands } from "./commands.js";
import { byId, setText } from "./parts/dom.js";
import { remaining } from "./words.js";

/** The composer's part of the page. */
export class Composer {
  readonly #form = byId<HTMLFormElement>("composer");
  readonly #text = byId<HTMLTextAreaElement>("text");
  readonly #left = byId("remaining");
  readonly #said = byId("remaining-said");
  readonly #problem = byId("send-problem");
  readonly #commands: Commands;
  readonly #onSent: () => void;
  #max = 0;

  /** Takes over the form, with what was being written before a reload. */
  constructor(commands: Commands, draft: string, onSent: () => void) {
    this.#commands = commands;
    this.#onSent = onSent;
    this.#text.value = draft;
    this.#text.addEventListener("input", () => {
      setText(this.#problem, "");
      this.#changed();
    });
    this.#text.addEventListener("keydown", (event) => {
      // Shift+Enter breaks the line, and an Enter that ends a composition belongs to the input method.
      if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      this.#submit();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Brings the count up to date with the service's limit. */
  render(state: State): void {
    if (state.limits.text === this.#max) return;
    this.#max = state.limits.text;
    this.#count();
  }

  /** Puts the cursor where the user writes. */
  focus(): void {
    this.#text.focus({ preventScroll: true });
  }

  /** Puts a text back for editing, before anything that is being written. */
  edit(text: string): void {
    this.#text.value = this.#text.value === "" ? text : `${text}\n${this.#text.value}`;
    this.#changed();
    this.focus();
  }

  #changed(): void {
    this.#commands.keepDraft(this.#text.value);
    this.#count();
  }

  #count(): void {
    const { over, near, text } = remaining(this.#text.value, this.#max);
    setText(this.#left, text);
    this.#left.classList.toggle("near", near && !over);
    this.#left.classList.toggle("over", over);
    this.#text.setAttribute("aria-invalid", String(over));
    // Read aloud only when it begins to matter.
    setText(this.#said, over ? "The message is too long" : near ? "Few characters left" : "");
  }

  #submit(): void {
    const text = wellFormed(this.#text.value);
    this.focus();
    if (text === "") return setText(this.#problem, "Write something first.");
    // The count beside the field shows by how much.
    if (remaining(text, this.#max).over) return setText(this.#problem, `A message has at most ${this.#max} characters.`);
    setText(this.#problem, "");
    this.#text.value = "";
    this.#changed();
    this.#commands.send(text);
    this.#onSent();
  }
}

/** The `keyCode` of every key that an input method has consumed. */
const TAKEN_BY_INPUT_METHOD = 229;

/** Safari ends the composition before it reports the key that ended it, so `isComposing` is false there. */
function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD;
}
