/** The newest steps of this page's Lamport clock, each with its reason. */

import { STEPS_MAX, type State } from "../core/machine/state.js";
import { byId, make } from "./parts/dom.js";
import { arithmetic } from "./words.js";

let shown: State["clockSteps"] | null = null;

/** Shows them, the last one first. */
export function clockSteps({ clockSteps: steps }: State): void {
  if (steps === shown) return;
  shown = steps;
  byId("clock-step").replaceChildren(...steps.slice(0, STEPS_MAX).map((step) => make("li", "", arithmetic(step))));
}
