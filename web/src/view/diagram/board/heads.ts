/** The names above the lifelines. They are slanted if lifelines are close together. */

import { type Diagram, LEVEL_LENGTH_MAX, SERVICE_MAX } from "../../../core/causality/diagram.js";
import { visible } from "../../../core/text.js";
import { hueOf } from "../../parts/palette.js";
import { draw, round } from "./svg.js";

/** The height of horizontal names and the maximum height of slanted ones, in pixels. */
const LEVEL_HEIGHT = 34;
const SLANTED_HEIGHT = 114;
/** The space above and below slanted names, and the height that each letter adds. */
const SLANTED_REST = 24;
const LETTER_HEIGHT = 6.6;
/** How long a slanted name may be, and its angle in degrees. */
const SLANTED_LENGTH = 110;
const ANGLE = -52;

/** A name of up to this many times its room is condensed rather than cut. */
const CLOSER = 1.12;

/** How high the heads of a diagram are. */
export function headsHeight(diagram: Diagram): number {
  if (!diagram.slanted) return LEVEL_HEIGHT;
  const longest = Math.max("service".length, ...diagram.lifelines.map(({ person }) => [...person.name].length));
  return Math.min(SLANTED_HEIGHT, Math.ceil(SLANTED_REST + longest * LETTER_HEIGHT));
}

/** The names. */
export function heads(diagram: Diagram, selfId: string): SVGElement[] {
  const { slanted } = diagram;
  const name = (x: number, text: string, look: string, id: string) => {
    const group = draw("g", { class: id === selfId && id !== "" ? `${look} self` : look, "data-id": id }, draw("title", {}, visible(text)));
    group.append(
      ...(slanted
        ? slant(x, visible(text), headsHeight(diagram) - 8)
        : level(x, visible(text), look === "service" ? Math.min(SERVICE_MAX, diagram.laneWidth) : diagram.laneWidth)),
    );
    return group;
  };
  return [
    name(diagram.serviceX, "service", "service", ""),
    ...diagram.lifelines.map(({ person, x }) => name(x, person.name, hueOf(person.name), person.id)),
  ];
}

function level(x: number, text: string, laneWidth: number): SVGElement[] {
  const wide = Math.min(laneWidth - 4, LEVEL_LENGTH_MAX + 10);
  return [
    draw("rect", { class: "pill", x: round(x - wide / 2), y: 5, width: wide, height: 24, rx: 12 }),
    draw("text", { class: "head", x: round(x), y: 21.5, "data-room": wide - 10 }, text),
  ];
}

function slant(x: number, text: string, y: number): SVGElement[] {
  const turned = `rotate(${ANGLE} ${round(x)} ${y})`;
  const left = round(x);
  return [
    draw(
      "g",
      { transform: turned },
      draw("rect", { class: "pill", x: left - 8, y: y - 12, width: SLANTED_LENGTH + 14, height: 20, rx: 10 }),
      draw("text", { class: "head slanted", x: left, y: y + 2.5, "data-room": SLANTED_LENGTH }, text),
    ),
  ];
}

/**
 * Makes the names fit their pills, once they are in the page: only then is their width known. A name that is a little
 * too long is condensed. One that is much too long is cut in the middle, so that "person11" and "person12" stay
 * distinct. The pill of a slanted name is made as long as the name.
 */
export function fit(heads: SVGElement): void {
  for (const head of heads.querySelectorAll<SVGTextElement>(".head")) {
    const room = Number(head.dataset["room"]);
    const all = [...(head.textContent ?? "")];
    for (let kept = all.length - 1; kept > 0 && head.getComputedTextLength() > room * CLOSER; kept -= 1) {
      const tail = Math.floor(kept / 2);
      head.textContent = `${all.slice(0, kept - tail).join("")}…${all.slice(all.length - tail).join("")}`;
    }
    const length = head.getComputedTextLength();
    if (head.classList.contains("slanted")) head.previousElementSibling?.setAttribute("width", `${round(Math.min(length, room) + 16)}`);
    if (length <= room) continue;
    head.setAttribute("textLength", `${room}`);
    head.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
}
