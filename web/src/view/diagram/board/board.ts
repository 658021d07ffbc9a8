/**
 * The parts of the picture, and its scrolling: the heads stay at the top, the times on the left and the texts on the
 * right. Sizes of the layout are multiplied by the scale, so that the diagram follows the font size.
 */

import { type Diagram, EVENT_HALF, type Figure } from "../../../core/causality/diagram.js";
import { byId, make } from "../../parts/dom.js";
import { sizeOf } from "../../parts/scroll.js";
import { headsHeight } from "./heads.js";
import { Said } from "./said.js";
import { draw } from "./svg.js";

/** How far from the end still counts as the bottom, in CSS pixels. */
const NEAR_PX = 30;

/** Lifelines that are closer together than this have no times beside them. */
const DENSE = 44;

/** The board. */
export class Board {
  /** The element that scrolls. */
  readonly scroller = byId("picture-scroller");
  /** The names above the lifelines. */
  readonly heads = draw("svg", { class: "heads" });
  /** What is behind the events, and the crossings. */
  readonly ground = draw("g", {});
  readonly crossings = draw("g", {});
  /** What is in front of the events, such as a cut. */
  readonly front = draw("g", {});
  /** The times on the left. */
  readonly axis = draw("g", {});
  /** The events. */
  readonly figures = draw("g", {});
  /** The plot. */
  readonly plot: SVGSVGElement;
  /** What was said. */
  readonly said = new Said();
  readonly #axisPlot: SVGSVGElement;
  readonly #sheets: readonly SVGGElement[];
  readonly #corner = make("span", "board-corner", "time");
  readonly #root: HTMLElement;
  readonly #changed: (following: boolean) => void;
  #following = true;
  #size = "";

  /** Fills the panel. `changed` is called when the user scrolls away from the newest event, or back to it. */
  constructor(changed: (following: boolean) => void) {
    this.#changed = changed;
    const sheet = draw("g", {}, this.ground, this.crossings, this.figures, this.front);
    const axisSheet = draw("g", {}, this.axis);
    this.#sheets = [sheet, axisSheet];
    this.plot = draw("svg", { class: "plot" }, sheet);
    this.#axisPlot = draw("svg", { class: "plot axis-plot" }, axisSheet);
    const saidHead = make("span", "board-corner said-head", "what was said");
    this.#root = make("div", "board drawn", this.#corner, this.heads, saidHead, this.#axisPlot, this.plot, this.said.root);
    this.#root.setAttribute("aria-hidden", "true");
    this.scroller.append(this.#root);
    this.scroller.addEventListener(
      "scroll",
      () => {
        if (this.#size === sizeOf(this.scroller)) this.#follow(this.#atEnd());
      },
      { passive: true },
    );
  }

  /** How large a unit of the layout is, in CSS pixels. */
  get scale(): number {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  }

  /** The room for a layout, in its own units. */
  get room(): number {
    return this.scroller.clientWidth / this.scale;
  }

  /** Whether the newest event stays in view. */
  get following(): boolean {
    return this.#following;
  }

  /** Shows or hides the picture. */
  show(shown: boolean): void {
    this.#root.hidden = !shown;
  }

  /** The panel has been resized. */
  resized(): void {
    this.#size = sizeOf(this.scroller);
  }

  /** Applies the sizes of a layout. */
  lay(next: Diagram): void {
    const { scale } = this;
    for (const [svg, width, height] of [
      [this.heads, next.width, headsHeight(next)],
      [this.plot, next.width, next.height],
      [this.#axisPlot, next.axisWidth, next.height],
    ] as const) {
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.setAttribute("width", `${width * scale}`);
      svg.setAttribute("height", `${height * scale}`);
    }
    // Between lifelines that are close together there is no room for times: those on the left are enough.
    this.plot.classList.toggle("dense", next.laneWidth < DENSE);
    for (const sheet of this.#sheets) sheet.setAttribute("transform", `translate(0 ${-next.top})`);
    this.said.render(next, scale);
  }

  /** A reader at the newest event stays there; for a reader who has scrolled up, nothing moves. */
  settle(next: Diagram, before: Diagram | null): void {
    const { scroller, scale } = this;
    // What does not fit is scrolled sideways: the service and this page's own lifeline are in the middle.
    if (before?.width !== next.width || before.saidWidth !== next.saidWidth) {
      const seen = scroller.clientWidth / scale - next.saidWidth - next.axisWidth;
      scroller.scrollLeft = (next.serviceX - seen / 2) * scale;
    }
    if (this.#following) {
      scroller.scrollTop = scroller.scrollHeight;
      return;
    }
    const anchor = next.figures[0];
    const known = before?.figures.find(({ event }) => event.sequence === anchor?.event.sequence);
    if (anchor === undefined || known === undefined || before === null) return;
    scroller.scrollTop += (anchor.broadcast.y - next.top - (known.broadcast.y - before.top)) * scale;
  }

  /** Goes to the newest event, and stays there. */
  toNewest(): void {
    this.#follow(true);
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Removes everything that is drawn. */
  clear(): void {
    this.#follow(true);
    for (const drawn of [this.axis, this.figures, this.crossings]) drawn.replaceChildren();
    this.said.clear();
  }

  /** How high the visible part of the plot is, in units of the layout. */
  seenHeight(diagram: Diagram): number {
    return this.scroller.clientHeight / this.scale - headsHeight(diagram);
  }

  /** Scrolls as little as is needed to see an event. */
  bringIntoView(found: Figure, diagram: Diagram): void {
    const { scale } = this;
    const { clientHeight, clientWidth, scrollTop, scrollLeft } = this.scroller;
    const writer = found.sending?.from.x ?? found.about ?? found.broadcast.x;
    const left = (Math.min(writer, found.broadcast.x) - 30) * scale;
    const right = (Math.max(writer, found.broadcast.x) + 40) * scale;
    const seen = clientWidth - (diagram.saidWidth + diagram.axisWidth) * scale;
    if (left < scrollLeft || right > scrollLeft + seen) this.scroller.scrollLeft = (left + right - seen) / 2;
    const top = (Math.min(found.broadcast.y - EVENT_HALF, found.sending?.from.y ?? found.broadcast.y) - diagram.top - 24) * scale;
    const reach = Math.max(found.broadcast.y, found.receipt?.y ?? 0) - diagram.top + headsHeight(diagram) + 40;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (reach * scale > scrollTop + clientHeight) this.scroller.scrollTop = Math.min(top, reach * scale - clientHeight);
  }

  #atEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #follow(following: boolean): void {
    if (this.#following === following) return;
    this.#following = following;
    this.#changed(following);
  }
}
