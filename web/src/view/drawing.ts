/** From the layout of a diagram to the elements of a picture. */

import { type Diagram, type Figure, type Lifeline, ROW, type Spot } from "../core/diagram.js";
import { visible } from "../core/text.js";
import { arrow, draw, round } from "./svg.js";
import { titled } from "./facts.js";
import { hueOf } from "./palette.js";

/** How much wider than its room a name may be and is still set closer, rather than cut. */
const CLOSER = 1.25;

/** The names above the lifelines. */
export function heads(diagram: Diagram, selfId: string): SVGElement[] {
  const name = (x: number, text: string, look: string, self: boolean) => {
    const wide = Math.min(diagram.laneWidth - 4, 120);
    const pill = draw("rect", { class: self ? "pill self" : "pill", x: round(x - wide / 2), y: 5, width: wide, height: 22, rx: 11 });
    return draw(
      "g",
      { class: look },
      draw("title", {}, visible(text)),
      pill,
      draw("text", { class: "head", x: round(x), y: 20, "data-room": wide - 8 }, visible(text)),
    );
  };
  return [
    draw("text", { class: "moment", x: 30, y: 20 }, "time"),
    name(diagram.serviceX, diagram.laneWidth < 56 ? "serv." : "service", "service", false),
    ...diagram.lifelines.map(({ person, x }) => name(x, person.name, hueOf(person.name), person.id === selfId)),
  ];
}

/**
 * Makes the names fit their pills, once they are in the page: only there is it known how wide each of them is. A name
 * that is a little too long is set closer. One that is much too long is cut in the middle: "person11" and "person12" stay apart.
 */
export function fit(heads: SVGElement): void {
  for (const head of heads.querySelectorAll<SVGTextElement>(".head")) {
    const room = Number(head.dataset["room"]);
    const all = [...(head.textContent ?? "")];
    for (let kept = all.length - 1; kept > 0 && head.getComputedTextLength() > room * CLOSER; kept -= 1) {
      const tail = Math.floor(kept / 2);
      head.textContent = `${all.slice(0, kept - tail).join("")}…${all.slice(all.length - tail).join("")}`;
    }
    if (head.getComputedTextLength() <= room) continue;
    head.setAttribute("textLength", `${room}`);
    head.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
}

/** A moment of the axis. */
export function moment({ time, y }: Diagram["rows"][number]): SVGElement {
  return draw("text", { class: "moment", x: 30, y: y + 3.5 }, `${time}`);
}

/** What is behind the events: the lifelines, the memberships, and what crossed. */
export function ground(diagram: Diagram): SVGElement[] {
  const { serviceX, top, height } = diagram;
  return [
    draw("g", { class: "service" }, life(serviceX, diagram), band(serviceX, top, top + height)),
    ...diagram.lifelines.map((line) => draw("g", { class: hueOf(line.person.name) }, ...lifeline(line, diagram))),
    ...diagram.crossings.map(({ from, to }) =>
      draw("path", { class: "crossing", d: `M${round(from.x)} ${from.y}L${round(to.x)} ${to.y}` }),
    ),
  ];
}

function lifeline({ x, from, to, gone }: Lifeline, diagram: Diagram): SVGElement[] {
  const cap = (y: number) => draw("path", { class: "cap", d: `M${round(x - 10)} ${y}h20` });
  const begin = from === null ? diagram.top : from - ROW * 0.3;
  const end = to === null ? diagram.top + diagram.height : to + ROW * 0.3;
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
  const parts: SVGElement[] = [
    draw("title", {}, `${titled(event)}: ${visible(event.content)}`),
    // Where a click counts, and what shows which event is chosen.
    draw("rect", { class: "here", x: 36, y: broadcast.y - ROW / 2, width: diagram.width - 48, height: ROW, rx: 5 }),
    draw("path", { class: "guide", d: `M36 ${broadcast.y}H${diagram.width - 12}` }),
  ];
  if (about !== null) parts.push(draw("path", { class: "about", d: `M${round(about)} ${broadcast.y}H${round(broadcast.x)}` }));
  if (sending !== null) {
    parts.push(...arrow("send", sending.from, sending.to, 5));
    parts.push(draw("circle", { class: "dot", cx: round(sending.from.x), cy: sending.from.y, r: 4.8 }));
    if (figure.crossed) parts.push(draw("circle", { class: "crossed", cx: round(sending.from.x), cy: sending.from.y, r: 8.5 }));
    const fromLeft = sending.from.x < sending.to.x;
    parts.push(clock(sending.from, fromLeft), draw("circle", { class: "ring", cx: round(sending.to.x), cy: sending.to.y, r: 3.2 }));
    parts.push(clock(sending.to, !fromLeft));
  }
  if (receipt !== null) {
    parts.push(...arrow("tell", broadcast, receipt, 4));
    parts.push(draw("circle", { class: "dot", cx: round(receipt.x), cy: receipt.y, r: 3.4 }), clock(receipt, receipt.x < broadcast.x));
  }
  parts.push(draw("rect", { class: "dot square", x: round(broadcast.x - 5), y: broadcast.y - 5, width: 10, height: 10, rx: 2 }));
  parts.push(stamp(broadcast));
  return parts;
}

/** The clock of a process, before or after its lifeline: where the arrow is not. */
function clock({ x, y, time }: Spot, before: boolean): SVGElement {
  return draw("text", { class: before ? "clock-time before" : "clock-time", x: round(before ? x - 11 : x + 11), y: y + 3.5 }, `${time}`);
}

/** An event's logical time, and how the event stands to the chosen one. */
function stamp({ x, y, time }: Spot): SVGElement {
  return draw("text", { class: "stamp", x: round(x + 10), y: y + 3.5 }, `${time}`, draw("tspan", { class: "glyph", dx: 3 }));
}
