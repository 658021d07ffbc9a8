/** What the marks of the diagram mean, and the terms beside it. */

import { make } from "../parts/dom.js";
import { term } from "../parts/terms.js";
import { draw } from "./board/svg.js";

/** Shown only if the diagram has a fault: otherwise there may be no lab. */
const FAULT = "a fault of the lab";

const SAMPLES: readonly (readonly [string, () => SVGElement[]])[] = [
  ["sends", () => [draw("circle", { class: "dot", cx: 10, cy: 8, r: 4.8 })]],
  ["service receives", () => [draw("circle", { class: "ring", cx: 10, cy: 8, r: 3.2 })]],
  [
    "puts in order, broadcasts",
    () => [
      draw("rect", { class: "dot square", x: 0, y: 0, width: 20, height: 16, rx: 4 }),
      draw("text", { class: "stamp", x: 10, y: 12.2 }, "9"),
    ],
  ],
  ["is delivered here", () => [draw("circle", { class: "dot", cx: 10, cy: 8, r: 3.4 })]],
  [
    "crossed another",
    () => [draw("circle", { class: "dot", cx: 10, cy: 8, r: 3.6 }), draw("circle", { class: "crossed", cx: 10, cy: 8, r: 7 })],
  ],
  ["from join to leave", () => [draw("path", { class: "band", d: "M10 2V14" }), draw("path", { class: "cap", d: "M4 2h12M4 14h12" })]],
  [
    FAULT,
    () => [draw("rect", { class: "shade", x: 1, y: 0, width: 18, height: 16, rx: 4 }), draw("path", { class: "band", d: "M10 0V16" })],
  ],
  ["connection gone", () => [draw("path", { class: "gone", d: "M5 3l10 10m0 -10l-10 10" })]],
];

/** The key. */
export function legend(replayed: boolean): HTMLElement {
  const samples = SAMPLES.map(([words, marks]) => {
    const sample = draw("svg", { width: 20, height: 16, "aria-hidden": "true" }, draw("g", { class: "mark service" }, ...marks()));
    return make("li", words === FAULT ? "legend-fault" : "", sample, words);
  });
  const told = replayed
    ? "Faint lines: when others received an event, according to their logs."
    : "Only the logs of others say when they received an event, so that is not drawn.";
  const list = make("ul", "legend-marks", ...samples);
  const terms = make(
    "p",
    "legend-terms",
    "Time runs downward; the numbers are ",
    term("logical-time", "logical times"),
    ", each by its own process’s clock. About the chosen event: ",
    make("span", "key-past", "▲ "),
    term("past", "its past"),
    ", ",
    make("span", "key-future", "▼ "),
    "its future, ",
    make("span", "key-concurrent", "⇄ "),
    term("concurrent", "concurrent"),
    ", ? unknown, by what its writer had ",
    term("seen", "seen"),
    `. ${told}`,
  );
  const root = make("div", "legend drawn", list, terms);
  root.id = "picture-legend";
  return root;
}
