/**
 * The panel of the diagram, which a button opens. The code that draws it is a separate part of the page, loaded when
 * the panel is first opened.
 */

import type { Causality } from "../core/causality/causality.js";
import type { Receipts } from "../core/causality/diagram.js";
import type { ChatEvent } from "../core/event.js";
import type { Shade } from "../core/causality/shades.js";
import type { Segment, State } from "../core/machine/state.js";
import { byId, setText, show } from "./parts/dom.js";

/** What the panel asks of the page, and reports to it. */
export interface Wishes {
  /** The user has chosen an event, or none. */
  choose(sequence: bigint | null): void;
  /** The user wants to see the chosen event in the transcript. */
  reveal(): void;
  /** The user points at an event, or at none. */
  point(sequence: bigint | null): void;
  /** The panel has been opened or closed. */
  toggled(open: boolean): void;
  /** Sets this page’s wall clock ahead by this many seconds; absent if the page sends nothing. */
  skew?(seconds: number): void;
}

/** What is to be drawn. */
export interface View {
  readonly state: State;
  readonly segment: Segment;
  readonly causality: Causality;
  readonly chosen: ChatEvent | null;
  /** The receipts in the logs of others, in a replay. */
  readonly receipts?: Receipts;
  /** The faults of a lab. */
  readonly shades?: readonly Shade[];
  /** The events that a broken rule is about. */
  readonly accused?: ReadonlySet<bigint>;
}

/** Draws the panel. */
export interface Drawing {
  /** Draws what is new, at once or a little later. */
  render(view: View): void;
  /** The panel has been opened or closed. */
  shown(open: boolean): void;
  /** The user points at an event elsewhere. */
  point(sequence: bigint | null): void;
  /** Draws no more: the panel is being taken out of the page. */
  stop(): void;
}

/** Loads the code that draws. */
export type LoadDrawing = (wishes: Wishes) => Promise<Drawing>;

const FAILED = "The diagram could not be loaded. Close it, and open it again to retry.";

/** The panel. */
export class Panel {
  readonly #panel = byId("picture");
  readonly #toggle = byId<HTMLButtonElement>("toggle-picture");
  readonly #wishes: Wishes;
  readonly #load: LoadDrawing;
  readonly #help = byId("picture-help").textContent ?? "";
  #drawing: Drawing | null = null;
  #loading = false;
  #stopped = false;
  #view: View | null = null;
  #wanted: boolean;

  /** Takes over the panel. */
  constructor(open: boolean, load: LoadDrawing, wishes: Wishes) {
    this.#wishes = wishes;
    this.#load = load;
    this.#toggle.addEventListener("click", () => {
      this.#wanted = !this.isOpen;
      this.#open(this.#wanted);
      wishes.toggled(this.isOpen);
    });
    this.#wanted = open;
    this.#open(open);
  }

  /** Whether the panel can be seen. */
  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  /** Whether the user wants the panel open; tabs may show or hide it meanwhile. */
  get isWanted(): boolean {
    return this.#wanted;
  }

  /** Draws what is new. A closed panel costs nothing. */
  render(view: View): void {
    this.#view = view;
    if (this.isOpen && !document.hidden) this.#drawing?.render(view);
  }

  /** The user points at an event of the transcript, or at none. */
  point(sequence: bigint | null): void {
    this.#drawing?.point(sequence);
  }

  /** Shows or hides the panel as a tab requires; with null, as the user last wanted it. */
  arrange(open: boolean | null): void {
    if (this.isOpen !== (open ?? this.#wanted)) this.#open(open ?? this.#wanted);
  }

  /** Draws no more: the panel is being taken out of the page. */
  stop(): void {
    this.#stopped = true;
    this.#view = null;
    this.#drawing?.stop();
  }

  #open(open: boolean): void {
    show(this.#panel, open);
    byId("room").classList.toggle("picture-open", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#drawing?.shown(open);
    if (open && this.#drawing === null && !this.#loading) void this.#fetch();
  }

  async #fetch(): Promise<void> {
    this.#loading = true;
    setText(byId("picture-help"), "Loading the diagram…");
    try {
      const drawing = await this.#load(this.#wishes);
      if (this.#stopped) return drawing.stop();
      setText(byId("picture-help"), this.#help);
      this.#drawing = drawing;
      drawing.shown(this.isOpen);
      if (this.#view !== null) this.render(this.#view);
    } catch (error) {
      if (!this.#stopped) setText(byId("picture-help"), FAILED);
      throw error;
    } finally {
      this.#loading = false;
    }
  }
}
