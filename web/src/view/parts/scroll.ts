/** Keeps the newest event in view for a reader at the bottom. For a reader further up, keeps in place what is being read. */

import { byId, setText, show } from "./dom.js";

/** How far from the end still counts as the bottom, in CSS pixels. */
const NEAR_PX = 56;

/** The scrolling of the transcript. */
export class Scroll {
  readonly #scroller = byId("scroller");
  readonly #button = byId<HTMLButtonElement>("new-below");
  #below = 0;
  #following = true;
  #size = "";
  /** Where the last jump to the bottom ended. */
  #jumpedTo = -1;
  /**
   * The row that stays in place until the user scrolls: rows inserted above may turn out higher than estimated.
   */
  #held: { readonly sequence: string; readonly top: number } | null = null;

  /** Takes over the scroller. */
  constructor() {
    this.#scroller.addEventListener(
      "scroll",
      () => {
        // Ignore the browser's own scrolling after a resize, and the jumps made here: they are not the user's.
        if (this.#size !== sizeOf(this.#scroller) || this.#scroller.scrollTop === this.#jumpedTo) return;
        this.#jumpedTo = -1;
        this.#held = null;
        this.#following = this.#atBottom();
        if (this.#following) this.#below = 0;
        this.#showButton();
      },
      { passive: true },
    );
    this.#button.addEventListener("click", () => {
      this.toBottom();
      this.#scroller.focus({ preventScroll: true });
    });
    // A phone's keyboard, a wrapped line or a turned screen changes the height without a scroll; rows that are added, or
    // come near for the first time, change the content's height. The layout is done by now, so reading it costs nothing.
    const resized = new ResizeObserver(() => {
      this.#size = sizeOf(this.#scroller);
      if (this.#following) this.#jump();
      else this.#hold();
    });
    resized.observe(this.#scroller);
    resized.observe(byId("column"));
  }

  /** Changes the transcript; `change` returns how many new events it has added at the end. */
  around(change: () => number): void {
    if (this.#following) {
      change();
      return;
    }
    const { scrollHeight, scrollTop } = this.#scroller;
    const first = this.#scroller.querySelector<HTMLElement>(".segment:last-child .row");
    const before = first?.getBoundingClientRect().top ?? 0;
    this.#below += change();
    // Rows inserted above push down what the user reads: scroll along with them, unless the browser does. The row may
    // have been rebuilt: below a message of the same author it needs no name.
    const changed = this.#scroller.scrollTop === scrollTop && this.#scroller.scrollHeight !== scrollHeight;
    if (changed && first !== null) {
      this.#held = { sequence: first.dataset["sequence"] ?? "", top: before };
      this.#hold();
    }
    this.#showButton();
  }

  /** Goes to the newest event. */
  toBottom(): void {
    this.#following = true;
    this.#below = 0;
    this.#jump();
    this.#showButton();
  }

  #hold(): void {
    const row =
      this.#held === null ? null : this.#scroller.querySelector(`.segment:last-child .row[data-sequence="${this.#held.sequence}"]`);
    if (row === null || this.#held === null) return;
    const moved = row.getBoundingClientRect().top - this.#held.top;
    if (Math.abs(moved) < 1) return;
    this.#scroller.scrollTop += moved;
    this.#jumpedTo = this.#scroller.scrollTop;
  }

  #atBottom(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #jump(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#jumpedTo = this.#scroller.scrollTop;
  }

  #showButton(): void {
    if (this.#below > 0) setText(this.#button, `${this.#below} new below`);
    show(this.#button, this.#below > 0);
  }
}

/** The size of the visible part: it changes before the view that shows it is notified. */
export function sizeOf({ clientWidth, clientHeight }: HTMLElement): string {
  return `${clientWidth} ${clientHeight}`;
}
