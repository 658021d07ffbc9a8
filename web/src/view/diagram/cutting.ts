/** Draws a cut across the lifelines, and says whether it is consistent. */

import type { LogicalTime } from "../../core/clock.js";
import { type Backward, type Line, SERVICE, atWallClock, backwards, level } from "../../core/causality/cut.js";
import { type Diagram, type Receipts, sendingTime } from "../../core/causality/diagram.js";
import type { ChatEvent, Person } from "../../core/event.js";
import { visible } from "../../core/text.js";
import { button, byId, make, setText, show } from "../parts/dom.js";
import { titled } from "../facts.js";
import { arrow, draw, round } from "./board/svg.js";

/** How far below a moment the cut runs. */
const BELOW = 6;

/** How many arrows that cross a cut backwards are named. */
const NAMED_MAX = 3;

/** What is cut. */
export interface Scene {
  readonly diagram: Diagram;
  readonly events: readonly ChatEvent[];
  readonly receipts: Receipts;
}

/** The cut. */
export class Cutting {
  /** The button that starts it. */
  readonly button = button("Cut", "small", () => this.#toggle());
  /** What is drawn in front of the picture. */
  readonly front = draw("g", { class: "cut" });
  readonly #bar = make("div", "cut-bar drawn");
  readonly #verdict = make("p", "cut-verdict");
  readonly #lifeline = make("select", "");
  readonly #moment = make("input", "");
  readonly #wall = make("input", "");
  #scene: Scene | null = null;
  #line: Map<string, LogicalTime> | null = null;
  #dragged: string | null = null;

  /** Puts the controls into the panel. */
  constructor() {
    this.button.title = "Draw a line across the lifelines: could the whole system have been in this state?";
    this.button.setAttribute("aria-pressed", "false");
    this.#verdict.setAttribute("role", "status");
    for (const slider of [this.#moment, this.#wall]) Object.assign(slider, { type: "range", min: "0", step: "1", autocomplete: "off" });
    this.#lifeline.name = "cut-lifeline";
    this.#lifeline.addEventListener("change", () => this.#draw());
    this.#moment.addEventListener("input", () => this.#move(this.#lifeline.value, this.#times[this.#moment.valueAsNumber] ?? 0n));
    this.#wall.addEventListener("input", () => this.#atWall());
    this.#bar.append(
      this.#verdict,
      make(
        "div",
        "cut-row",
        make(
          "div",
          "cut-group",
          button("Level", "small", () => this.#level()),
          make("label", "picker", make("span", "", "By wall clock"), this.#wall),
        ),
        make(
          "div",
          "cut-group",
          make("label", "picker", make("span", "", "Lifeline"), this.#lifeline),
          make("label", "picker", make("span", "", "up to"), this.#moment),
        ),
      ),
    );
    byId("picture").querySelector(".picture-facts")?.prepend(this.#bar);
    show(this.#bar, false);
    this.front.addEventListener("pointerdown", (event) => this.#grab(event));
    this.front.addEventListener("pointermove", (event) => this.#drag(event));
    this.front.addEventListener("pointerup", () => (this.#dragged = null));
  }

  /** Shows a given cut, which cannot be moved, or none. */
  preset(line: Line | null): void {
    this.#line = line === null ? null : new Map(line);
    this.front.classList.toggle("fixed", line !== null);
    this.button.setAttribute("aria-pressed", "false");
    show(this.#bar, false);
    byId("picture").classList.remove("cutting");
    this.#draw();
  }

  /** Takes over a layout. */
  render(scene: Scene): void {
    this.#scene = scene;
    this.#draw();
  }

  get #times(): readonly LogicalTime[] {
    return this.#scene?.diagram.rows.map(({ time }) => time) ?? [];
  }

  get #people(): readonly Person[] {
    return this.#scene?.diagram.lifelines.map(({ person }) => person) ?? [];
  }

  #toggle(): void {
    const on = this.#bar.hidden;
    this.preset(null);
    show(this.#bar, on);
    byId("picture").classList.toggle("cutting", on);
    this.button.setAttribute("aria-pressed", String(on));
    // Wait until the panel has its new size.
    if (on) requestAnimationFrame(() => requestAnimationFrame(() => this.#level()));
  }

  /** A level line, two thirds down the visible part. */
  #level(): void {
    const { top, bottom } = byId("picture-scroller").getBoundingClientRect();
    this.#line = new Map(level(this.#people, this.#timeAt((top + 2 * bottom) / 3)));
    this.#draw();
  }

  #atWall(): void {
    const { events } = this.#scene ?? { events: [] };
    const [first, last] = [events[0]?.recordedAt ?? 0, events[events.length - 1]?.recordedAt ?? 0];
    const at = first + ((last - first) * this.#wall.valueAsNumber) / 1000;
    this.#line = new Map(atWallClock(events, this.#people, at));
    this.#draw();
  }

  #move(process: string, time: LogicalTime): void {
    this.#line?.set(process, time);
    this.#draw();
  }

  #grab(event: PointerEvent): void {
    const handle = (event.target as Element).closest<SVGElement>("[data-process]");
    if (handle === null || this.front.classList.contains("fixed")) return;
    event.preventDefault();
    this.#dragged = handle.dataset["process"] ?? "";
    this.front.setPointerCapture(event.pointerId);
  }

  #drag(event: PointerEvent): void {
    if (this.#dragged !== null) this.#move(this.#dragged, this.#timeAt(event.clientY));
  }

  /** The last moment above a height in the window. */
  #timeAt(height: number): LogicalTime {
    const rows = this.#scene?.diagram.rows ?? [];
    const matrix = this.front.getScreenCTM();
    const y = matrix === null ? 0 : new DOMPoint(0, height).matrixTransform(matrix.inverse()).y;
    const above = rows.filter((row) => row.y < y);
    return above[above.length - 1]?.time ?? (rows[0]?.time ?? 1n) - 1n;
  }

  #draw(): void {
    const [scene, line] = [this.#scene, this.#line];
    if (scene === null || line === null) return this.front.replaceChildren();
    const { diagram } = scene;
    const places = [
      ...diagram.lifelines.map(({ person, x }) => ({ process: person.id, name: person.name, x })),
      { process: SERVICE, name: "the service", x: diagram.serviceX },
    ].sort((a, b) => a.x - b.x);
    const y = (time: LogicalTime) => {
      const above = diagram.rows.filter((row) => row.time <= time);
      return above.length === 0 ? diagram.top + 4 : above[above.length - 1]!.y + BELOW;
    };
    const points = places.map((place) => ({ ...place, y: y(line.get(place.process) ?? 0n) }));
    const path = points.map(({ x, y }) => `${round(x)} ${round(y)}`);
    const [first, last] = [points[0]!.y, points[points.length - 1]!.y];
    const across = `M0 ${first}L${path.join("L")}L${diagram.width} ${last}`;
    const crossing = backwards(scene.events, line, scene.receipts);
    this.front.classList.toggle("inconsistent", crossing.length > 0);
    this.front.replaceChildren(
      draw("path", { class: "cut-inside", d: `${across}V${diagram.top}H0Z` }),
      draw("path", { class: "cut-line", d: across }),
      ...crossing.flatMap((one) => drawn(one, diagram)),
      ...points.map(({ process, x, y }) =>
        draw("circle", { class: "cut-handle", "data-process": process, cx: round(x), cy: round(y), r: 6.5 }),
      ),
    );
    this.#say(crossing, points);
  }

  #say(crossing: readonly Backward[], points: readonly { readonly process: string; readonly name: string }[]): void {
    if (this.#bar.hidden) return;
    setText(this.#verdict, verdict(crossing, this.#people));
    this.#verdict.classList.toggle("bad", crossing.length > 0);
    const chosen = points.some(({ process }) => process === this.#lifeline.value) ? this.#lifeline.value : SERVICE;
    this.#lifeline.replaceChildren(
      ...points.map(({ process, name }) => new Option(visible(name), process, process === chosen, process === chosen)),
    );
    const times = this.#times;
    this.#moment.max = `${Math.max(0, times.length - 1)}`;
    this.#wall.max = "1000";
    const time = this.#line?.get(chosen) ?? 0n;
    this.#moment.value = `${Math.max(0, times.filter((one) => one <= time).length - 1)}`;
    this.#moment.setAttribute("aria-valuetext", `time ${time}`);
  }
}

/** Whether a cut is consistent, in words. */
export function verdict(crossing: readonly Backward[], people: readonly Person[]): string {
  if (crossing.length === 0) return "Consistent: no message crosses the line backwards, so the whole system could have been in this state.";
  const more = crossing.length > NAMED_MAX ? ` And ${crossing.length - NAMED_MAX} more.` : "";
  return `Inconsistent: ${crossing
    .slice(0, NAMED_MAX)
    .map((one) => sentence(one, people))
    .join(" ")}${more}`;
}

function sentence(one: Backward, people: readonly Person[]): string {
  switch (one.type) {
    case "unsent":
      return `The service has received ${titled(one.event)}, which has not been sent yet.`;
    case "unseen":
      return `${visible(one.by.author.name)} has seen ${titled(one.event)}, which has not been broadcast yet.`;
    case "undelivered":
      return `${visible(people.find(({ id }) => id === one.reader)?.name ?? one.reader)} has received ${titled(one.event)}, which has not been broadcast yet.`;
  }
}

/** The arrow that crosses backwards. */
function drawn(one: Backward, { figures, lifelines, rows }: Diagram): SVGElement[] {
  const figure = figures.find(({ event }) => event.sequence === one.event.sequence);
  if (figure === undefined) return [];
  if (one.type === "unsent") return figure.sending === null ? [] : arrow("backward", figure.sending.from, figure.sending.to, 5);
  if (one.type === "undelivered") {
    const to = figure.receipt ?? figure.others[0];
    return to === undefined ? [] : arrow("backward", figure.broadcast, to, 4);
  }
  const x = lifelines.find(({ person }) => person.id === one.by.author.id)?.x;
  const sent = sendingTime(one.by);
  const y = rows.find(({ time }) => time === sent)?.y;
  return x === undefined || y === undefined ? [] : arrow("backward", figure.broadcast, { x, y }, 5);
}
