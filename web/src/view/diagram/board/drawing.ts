/** From the layout of a diagram to the elements of a picture. */

import { type Diagram, EVENT_HALF, type Figure, type Lifeline, type Spot } from "../../../core/causality/diagram.js";
import { visible } from "../../../core/text.js";
import { titled } from "../../facts.js";
import { hueOf } from "../../parts/palette.js";
import { shaded } from "./shading.js";
import { arrow, draw, round } from "./svg.js";

/** How far a band reaches beyond the moments of its beginning and its end. */
const BAND = 6;

/** How far the line reaches up from an event to the one with the same time. */
const TWIN = 28;

/** If more pairs crossed than this, only those of the chosen event are drawn. */
const CROSSINGS_MAX = 20;

/** A moment of the axis. */
export function moment({ time, y }: Diagram["rows"][number], { axisWidth }: Diagram, bold: boolean): SVGElement {
  return draw("text", { class: bold ? "moment event-time" : "moment", x: axisWidth - 8, y: y + 4 }, `${time}`);
}

/** What is behind the events: the lifelines and the memberships. */
export function ground(diagram: Diagram): SVGElement[] {
  const { serviceX, top, height } = diagram;
  return [
    ...diagram.shades.map((shade) => shaded(shade, diagram)),
    draw("g", { class: "service" }, life(serviceX, diagram), band(serviceX, top, top + height)),
    ...diagram.lifelines.map((line) =>
      draw("g", { class: hueOf(line.person.name), "data-id": line.person.id }, ...lifeline(line, diagram)),
    ),
  ];
}

/** The pairs that crossed; if there are very many, only those of the event that is pointed at or chosen. */
export function crossings({ crossings }: Diagram, of: bigint | null): SVGElement[] {
  const shown = crossings.length <= CROSSINGS_MAX ? crossings : crossings.filter(({ sequences }) => of !== null && sequences.includes(of));
  return shown.map(({ from, to }) => draw("path", { class: "crossing", d: `M${round(from.x)} ${from.y}L${round(to.x)} ${to.y}` }));
}

function lifeline({ x, from, to, gone }: Lifeline, diagram: Diagram): SVGElement[] {
  const cap = (y: number) => draw("path", { class: "cap", d: `M${round(x - 8)} ${y}h16` });
  const begin = from === null ? diagram.top : from - BAND;
  const end = to === null ? diagram.top + diagram.height : to + BAND;
  const parts: SVGElement[] = [life(x, diagram), band(x, begin, end)];
  if (from !== null) parts.push(cap(begin));
  if (to !== null) parts.push(gone ? draw("path", { class: "gone", d: `M${round(x - 5)} ${end - 5}l10 10m0 -10l-10 10` }) : cap(end));
  return parts;
}

function life(x: number, diagram: Diagram): SVGElement {
  return draw("path", { class: "life", d: `M${round(x)} ${diagram.top}V${diagram.top + diagram.height}` });
}

function band(x: number, from: number, to: number): SVGElement {
  return draw("path", { class: "band", d: `M${round(x)} ${from}V${to}` });
}

/** One event: where it was sent, put in order and received here. */
export function figure(figure: Figure, diagram: Diagram): SVGElement[] {
  const { event, broadcast, sending, about, receipt } = figure;
  const half = boxHalf(broadcast.time);
  const parts: SVGElement[] = [
    draw("title", {}, `${titled(event)}: ${visible(event.content)}`),
    // The area that can be clicked; it also shows which event is chosen.
    draw("rect", { class: "here", x: 0, y: broadcast.y - EVENT_HALF, width: diagram.width, height: 2 * EVENT_HALF }),
    draw("path", { class: "guide", d: `M0 ${broadcast.y}H${diagram.width}` }),
  ];
  for (const other of figure.others) {
    parts.push(draw("path", { class: "told", d: `M${round(beside(broadcast, other, half))} ${broadcast.y}L${round(other.x)} ${other.y}` }));
    parts.push(draw("circle", { class: "told-dot", cx: round(other.x), cy: other.y, r: 2.4 }));
  }
  if (about !== null) parts.push(draw("path", { class: "about", d: `M${round(about)} ${broadcast.y}H${round(broadcast.x)}` }));
  if (sending !== null) {
    parts.push(...arrow("send", sending.from, sending.to, 5));
    parts.push(draw("circle", { class: "dot", cx: round(sending.from.x), cy: sending.from.y, r: 4.8 }));
    if (figure.crossed) parts.push(draw("circle", { class: "crossed", cx: round(sending.from.x), cy: sending.from.y, r: 8 }));
    const fromLeft = sending.from.x < sending.to.x;
    parts.push(clock(sending.from, fromLeft), draw("circle", { class: "ring", cx: round(sending.to.x), cy: sending.to.y, r: 3.2 }));
    parts.push(clock(sending.to, !fromLeft));
  }
  if (receipt !== null) {
    parts.push(...arrow("tell", { x: beside(broadcast, receipt, half), y: broadcast.y }, receipt, 4));
    parts.push(draw("circle", { class: "dot", cx: round(receipt.x), cy: receipt.y, r: 3.4 }), clock(receipt, receipt.x < broadcast.x));
  }
  if (figure.sameTime) parts.push(draw("path", { class: "twin", d: `M${round(broadcast.x)} ${broadcast.y - TWIN}V${broadcast.y}` }));
  const box = {
    class: figure.sameTime ? "dot square second" : "dot square",
    x: round(broadcast.x - half),
    y: broadcast.y - 8.5,
    width: 2 * half,
    height: 17,
    rx: 4,
  };
  if (event.rivals !== undefined) parts.push(draw("rect", { ...box, class: "dot square second", x: box.x + 5, y: box.y + 5 }));
  parts.push(draw("rect", box), draw("text", { class: "stamp", x: round(broadcast.x), y: broadcast.y + 4.2 }, `${broadcast.time}`));
  parts.push(draw("text", { class: "glyph", x: round(broadcast.x + half + 3), y: broadcast.y + 4.2 }));
  return parts;
}

/** Half the width of the box with an event's logical time. */
function boxHalf(time: bigint): number {
  return Math.max(12, `${time}`.length * 3.8 + 4);
}

function beside(from: Spot, to: Spot, half: number): number {
  return from.x + (to.x < from.x ? -half : half);
}

/** The clock of a process, to the left or right of its lifeline: on the side without the arrow. */
function clock({ x, y, time }: Spot, before: boolean): SVGElement {
  return draw("text", { class: before ? "clock-time before" : "clock-time", x: round(before ? x - 10 : x + 10), y: y + 4 }, `${time}`);
}
