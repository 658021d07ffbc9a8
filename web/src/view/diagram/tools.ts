/** The buttons above the diagram. */

import { button, byId, make, setText, show } from "../parts/dom.js";

/** What the buttons do. */
export interface ToolWishes {
  /** Pauses the picture, or lets it continue. */
  freeze(frozen: boolean): void;
  /** Goes to the newest event, and keeps it in view. */
  newest(): void;
  /** Shows or hides vector clocks. */
  vectors(shown: boolean): void;
  /** The size of the panel has changed. */
  resized(): void;
}

const LEGEND_KEY = "chitchat.legend";

/** The row of buttons. */
export class Tools {
  /** The element that holds them. */
  readonly root = make("div", "picture-tools drawn");
  readonly #wishes: ToolWishes;
  readonly #legend: HTMLElement;
  readonly #freeze = button("Freeze", "small", () => this.#toggleFreeze());
  readonly #newest = button("Newest ↓", "small newest", () => this.#wishes.newest());
  readonly #large = button("A+", "small", () => byId("large-type").click());
  readonly #vectors = button("Vectors", "small", () => this.#toggleVectors());
  readonly #key = button("Key", "small", () => this.#toggleLegend());
  readonly #full = button("Full view", "small", () => this.present(!this.isPresenting));
  #frozen = false;

  /** Puts the buttons above the picture, after those that choose something. */
  constructor(choosers: readonly HTMLElement[], legend: HTMLElement, wishes: ToolWishes) {
    this.#wishes = wishes;
    this.#legend = legend;
    this.#freeze.title = "Pauses the picture while the conversation continues";
    this.#newest.title = "Goes to the newest event, and stays there";
    this.#large.title = "Large type, as for a projector";
    this.#large.setAttribute("aria-label", "A+: large type");
    this.#full.title = "The diagram fills the screen, as for a projector";
    this.#vectors.title = "The vector clock of each event, beside its Lamport time";
    for (const toggle of [this.#freeze, this.#vectors, this.#full]) toggle.setAttribute("aria-pressed", "false");
    this.#key.setAttribute("aria-controls", legend.id);
    this.root.append(...choosers, this.#vectors, this.#freeze, this.#key, this.#large, this.#full);
    byId("picture").querySelector(".picture-head")?.append(this.root);
    byId("picture-scroller").before(legend);
    byId("picture-scroller").after(this.#newest);
    show(legend, stored() !== "closed" && matchMedia("(min-width: 60rem) and (min-height: 40rem)").matches);
    this.#key.setAttribute("aria-expanded", String(!legend.hidden));
    document.addEventListener("keydown", this.#escape);
    document.addEventListener("fullscreenchange", this.#left);
  }

  /** Whether the picture is paused. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** Whether the diagram fills the screen. */
  get isPresenting(): boolean {
    return byId("room").classList.contains("presenting");
  }

  /** Hides the way back to the newest event while that is in view. */
  following(following: boolean): void {
    show(this.#newest, !following || this.#frozen);
  }

  /** Shows how many events have arrived since the picture was paused. */
  waiting(count: number): void {
    if (this.#frozen) setText(this.#freeze, count > 0 ? `Frozen: ${count} new` : "Frozen");
  }

  /** Lets the picture continue. */
  thaw(): void {
    if (this.#frozen) this.#toggleFreeze();
  }

  /** Fills the screen with the diagram, or stops doing so. */
  present(on: boolean): void {
    if (on === this.isPresenting) return;
    byId("room").classList.toggle("presenting", on);
    this.#full.setAttribute("aria-pressed", String(on));
    // If the browser refuses, the diagram fills the page.
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement !== null) document.exitFullscreen().catch(() => {});
    this.#wishes.resized();
    this.#full.focus();
  }

  /** Undoes what it has changed outside the panel. */
  stop(): void {
    document.removeEventListener("keydown", this.#escape);
    document.removeEventListener("fullscreenchange", this.#left);
    byId("room").classList.remove("presenting");
  }

  readonly #escape = (event: KeyboardEvent) => {
    if (event.key === "Escape" && !event.defaultPrevented && this.isPresenting) this.present(false);
  };

  readonly #left = () => {
    if (document.fullscreenElement === null) this.present(false);
  };

  #toggleFreeze(): void {
    this.#frozen = !this.#frozen;
    this.#freeze.setAttribute("aria-pressed", String(this.#frozen));
    setText(this.#freeze, this.#frozen ? "Frozen" : "Freeze");
    this.#wishes.freeze(this.#frozen);
  }

  #toggleVectors(): void {
    const shown = this.#vectors.getAttribute("aria-pressed") !== "true";
    this.#vectors.setAttribute("aria-pressed", String(shown));
    this.#wishes.vectors(shown);
  }

  #toggleLegend(): void {
    show(this.#legend, this.#legend.hidden);
    this.#key.setAttribute("aria-expanded", String(!this.#legend.hidden));
    try {
      localStorage.setItem(LEGEND_KEY, this.#legend.hidden ? "closed" : "open");
    } catch {
      // The next visit starts without this choice.
    }
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(LEGEND_KEY);
  } catch {
    return null;
  }
}
