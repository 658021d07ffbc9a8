/** Keeps the newest event in view for whoever is at the bottom, and leaves everybody else in peace. */

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

  /** Takes over the scroller. */
  constructor() {
    this.#scroller.addEventListener("scroll", () => {
      // The browser's own scrolling when the size has changed is not the user's: see below.
      if (this.#size !== sizeOf(this.#scroller)) return;
      this.#following = this.#atBottom();
      if (this.#following) this.#below = 0;
      this.#showButton();
    }, { passive: true });
    this.#button.addEventListener("click", () => {
      this.toBottom();
      this.#scroller.focus({ preventScroll: true });
    });
    // A phone's keyboard, a wrapped line or a turned screen change the height without a scroll.
    new ResizeObserver(() => {
      this.#size = sizeOf(this.#scroller);
      if (this.#following) this.#jump();
    }).observe(this.#scroller);
  }

  /** Changes the transcript; the change says how many new events it has put at the end. */
  around(change: () => number): void {
    const { scrollHeight, scrollTop } = this.#scroller;
    const firstBefore = this.#firstRow();
    const topBefore = firstBefore?.getBoundingClientRect().top ?? 0;
    const fresh = change();
    if (this.#following) {
      this.#jump();
    } else {
      this.#below += fresh;
      // What was put in above pushes down what the user reads: scroll along with it.
      const moved = firstBefore?.isConnected === true ? firstBefore.getBoundingClientRect().top - topBefore : 0;
      if (this.#scroller.scrollTop === scrollTop && this.#scroller.scrollHeight !== scrollHeight) {
        this.#scroller.scrollTop += moved;
      }
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

  #firstRow(): Element | null {
    return this.#scroller.querySelector(".segment:last-child .row");
  }

  #atBottom(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #jump(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #showButton(): void {
    if (this.#below > 0) setText(this.#button, `${this.#below} new below`);
    show(this.#button, this.#below > 0);
  }
}

/** How large the visible part is: it changes before what shows it is told. */
export function sizeOf({ clientWidth, clientHeight }: HTMLElement): string {
  return `${clientWidth} ${clientHeight}`;
}
