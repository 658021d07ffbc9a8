/** The controls of a replay: a slider, steps, and playing at a chosen speed. */

import type { ChatEvent } from "../../core/event.js";
import { button, make, setText } from "../parts/dom.js";
import { placed } from "../facts.js";
import { hueOf } from "../parts/palette.js";
import { draw } from "../diagram/board/svg.js";

/** The speeds, in events a second. */
const SPEEDS = [1, 3, 10, 50, 250];

/** The most marks above the slider: if there are more events, a mark stands for several. */
const MARKS_MAX = 240;

/** The icons, as paths in a square of 16 by 16. */
const ICONS = {
  first: "M3 3h2v10H3zM13 3v10L6 8z",
  back: "M12 3v10L4 8z",
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  forward: "M4 3v10l8-5z",
  last: "M11 3h2v10h-2zM3 3v10l7-5z",
} as const;

/** What the player asks of the room. */
export interface PlayerWishes {
  /** Goes to an event. `steady` is false while the replay is being dragged or played. */
  go(index: number, steady: boolean): void;
  /** Whether the event that a step leads to is read aloud elsewhere. */
  explained(): boolean;
  /** Copies a link to the present event. */
  link(): void;
}

/** The controls. */
export class Player {
  /** The element that holds them. */
  readonly root = make("form", "player");
  /** The control that gets the focus first. */
  readonly slider = make("input", "player-slider");
  readonly #events: readonly ChatEvent[];
  readonly #wishes: PlayerWishes;
  readonly #play = iconButton("play", "Play", () => this.toggle());
  readonly #at = make("output", "player-at");
  readonly #said = make("p", "vh");
  readonly #speed = make("select", "player-speed");
  readonly #marks: SVGElement;
  readonly #ends: readonly (readonly [HTMLButtonElement, "first" | "last"])[];
  #index = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Controls for these events. */
  constructor(events: readonly ChatEvent[], wishes: PlayerWishes) {
    this.#events = events;
    this.#marks = marks(events);
    this.#wishes = wishes;
    const last = events.length - 1;
    const to = (index: () => number) => () => {
      this.pause();
      const target = Math.min(last, Math.max(0, index()));
      wishes.go(target, true);
      setText(this.#said, wishes.explained() ? "" : placed(this.#events[target]!));
    };
    const first = iconButton(
      "first",
      "First event",
      to(() => 0),
    );
    const back = iconButton(
      "back",
      "Step back",
      to(() => this.#index - 1),
    );
    const forward = iconButton(
      "forward",
      "Step forward",
      to(() => this.#index + 1),
    );
    const end = iconButton(
      "last",
      "Last event",
      to(() => last),
    );
    this.#ends = [
      [first, "first"],
      [back, "first"],
      [forward, "last"],
      [end, "last"],
    ];
    Object.assign(this.slider, {
      type: "range",
      min: "1",
      max: `${events.length}`,
      step: "1",
      value: "1",
      name: "event",
      autocomplete: "off",
    });
    this.slider.setAttribute("aria-label", "Event");
    // The replay is steady once the slider is released, or after each key.
    this.slider.addEventListener("input", () => {
      this.pause();
      wishes.go(this.slider.valueAsNumber - 1, false);
    });
    this.slider.addEventListener("change", () => wishes.go(this.slider.valueAsNumber - 1, true));
    this.slider.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      this.toggle();
    });
    for (const speed of SPEEDS) this.#speed.append(new Option(`${speed} a second`, `${speed}`, speed === 1, speed === 1));
    this.#speed.name = "speed";
    this.#speed.setAttribute("aria-label", "Speed, in events");
    this.#said.setAttribute("role", "status");
    this.#at.setAttribute("aria-live", "off");
    const link = button("Link", "quiet player-link", () => wishes.link());
    link.title = "Copy the address of this event";
    const steps = make("div", "player-steps", first, back, this.#play, forward, end);
    this.root.setAttribute("aria-label", "Replay");
    this.root.append(make("div", "player-track", this.#marks, this.slider), steps, this.#at, this.#speed, link, this.#said);
    this.root.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Whether it is playing. */
  get playing(): boolean {
    return this.#timer !== undefined;
  }

  /** Shows where the replay is. */
  show(index: number): void {
    this.#index = index;
    const event = this.#events[index]!;
    const count = this.#events.length;
    if (this.slider.valueAsNumber !== index + 1) this.slider.value = `${index + 1}`;
    this.slider.setAttribute("aria-valuetext", `${index + 1} of ${count}: ${placed(event)}`);
    this.#at.replaceChildren(
      make("b", "", `Event ${event.sequence}`),
      ` of ${this.#events[count - 1]!.sequence}`,
      make("span", "player-time", ` at logical time ${event.logicalTime}`),
    );
    const reached = ((index + 1) * this.#marks.childElementCount) / count;
    for (const [at, mark] of [...this.#marks.children].entries()) mark.classList.toggle("ahead", at >= reached);
    for (const [button, which] of this.#ends)
      button.setAttribute("aria-disabled", String(which === "first" ? index === 0 : index === count - 1));
  }

  /** Says something to screen readers. */
  say(text: string): void {
    setText(this.#said, text);
  }

  /** Plays, or pauses. At the end it starts over. */
  toggle(): void {
    if (this.playing) {
      this.pause();
      this.#wishes.go(this.#index, true);
      return;
    }
    const from = this.#index === this.#events.length - 1 ? 0 : this.#index;
    this.#show("pause", "Pause");
    if (from !== this.#index) this.#wishes.go(from, false);
    this.#tick(performance.now(), 0);
  }

  /** Stops playing. */
  pause(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#show("play", "Play");
  }

  #tick(since: number, played: number): void {
    const speed = Number(this.#speed.value);
    this.#timer = setTimeout(
      () => {
        // Make up for what a slow frame has missed, up to a second.
        const due = Math.min(((performance.now() - since) / 1000) * speed + played, speed);
        const whole = Math.floor(due);
        const last = this.#events.length - 1;
        if (this.#index + whole >= last) {
          this.pause();
          return this.#wishes.go(last, true);
        }
        const now = performance.now();
        if (whole > 0) this.#wishes.go(this.#index + whole, false);
        this.#tick(now, due - whole);
      },
      Math.max(33, 1000 / speed - (1000 * played) / speed),
    );
  }

  #show(icon: keyof typeof ICONS, label: string): void {
    if (this.#play.getAttribute("aria-label") === label) return;
    this.#play.setAttribute("aria-label", label);
    this.#play.title = label;
    this.#play.replaceChildren(drawn(icon));
  }
}

function iconButton(icon: keyof typeof ICONS, label: string, onClick: () => void): HTMLButtonElement {
  const element = button("", `icon ${icon}`, () => {
    if (element.getAttribute("aria-disabled") !== "true") onClick();
  });
  element.setAttribute("aria-label", label);
  element.title = label;
  element.append(drawn(icon));
  return element;
}

function drawn(icon: keyof typeof ICONS): SVGElement {
  return draw(
    "svg",
    { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    draw("path", { d: ICONS[icon], fill: "currentColor" }),
  );
}

/**
 * The run at a glance: a mark for each event, in the color of who did it. Messages are taller than joins and leaves.
 */
function marks(events: readonly ChatEvent[]): SVGElement {
  const count = Math.min(events.length, MARKS_MAX);
  const svg = draw("svg", {
    class: "player-marks",
    viewBox: `0 0 ${Math.max(1, count - 1)} 10`,
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  for (let at = 0; at < count; at += 1) {
    const part = events.slice(Math.floor((at * events.length) / count), Math.floor(((at + 1) * events.length) / count));
    const messages = part.filter(({ kind }) => kind.type === "message").length;
    const height = 3 + (7 * messages) / part.length;
    svg.append(draw("rect", { class: hueOf(mostFrequent(part)), x: at - 0.2, y: 10 - height, width: 0.4, height }));
  }
  return svg;
}

function mostFrequent(events: readonly ChatEvent[]): string {
  const counts = new Map<string, number>();
  for (const { author } of events) counts.set(author.name, (counts.get(author.name) ?? 0) + 1);
  return [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), ["", 0] as [string, number])[0];
}
