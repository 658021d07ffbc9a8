/** Shows where a lab's faults are in force: a shade on the lifeline, with the faults in words. */

import type { Diagram, Shading } from "../../../core/causality/diagram.js";
import { draw, round } from "./svg.js";

/** How wide a shade is. */
const SHADE = 24;

/** If lifelines are at least this wide, the words are beside the shade; otherwise they run along it, within the shade. */
const WORDS_ROOM = 112;

/** The distance between lines of words beside the lifeline. */
const LINE = 12;

/** For words along the lifeline: the maximum width of a letter, and the gap to the ends of the shade. */
const LETTER = 6.6;
const ENDS = 4;

/** The gap between repetitions of the words. A long shade repeats them, so that any part of it shows them. */
const REPEATED = 48;
const REPEATED_BESIDE = 150;

/** The shade of a fault. */
export function shaded(shading: Shading, diagram: Diagram): SVGElement {
  const { x, from, to, words } = shading;
  const title = draw("title", {}, `By the lab: ${words.join(", ")}`);
  const wide = Math.min(SHADE, diagram.laneWidth - 2);
  const ground = draw("rect", { class: "shade", x: round(x - wide / 2), y: from, width: wide, height: to - from, rx: 4 });
  return draw(
    "g",
    { class: "shaded" },
    title,
    ground,
    ...(diagram.laneWidth < WORDS_ROOM ? along(shading, diagram) : beside(shading, diagram)),
  );
}

/** The words on both sides of the lifeline, within the shade. */
function along({ x, from, to, words }: Shading, diagram: Diagram): SVGElement[] {
  const sides = [words.filter((_, at) => at % 2 === 0), words.filter((_, at) => at % 2 === 1)].filter((side) => side.length > 0);
  const lengthOf = (texts: readonly string[]) => texts.join(", ").length * LETTER;
  return sides.flatMap((side, at) => {
    const room = to - from - 2 * ENDS;
    const texts = lengthOf(side) <= room ? side : side.map(short);
    const length = lengthOf(texts);
    // What does not fit reaches below the shade, but not below the picture.
    const begin = Math.max(diagram.top, Math.min(from + ENDS, diagram.top + diagram.height - length - ENDS));
    const times = Math.max(1, Math.floor((room + REPEATED) / (length + REPEATED)));
    const left = round(at === 0 ? x + 4.5 : x - 12);
    return Array.from({ length: times }, (_, time) => {
      const y = round(begin + time * (length + REPEATED));
      return draw("text", { class: "shade-words", transform: `translate(${left} ${y}) rotate(90)` }, texts.join(", "));
    });
  });
}

/** The words beside the lifeline, on the service's side: the other side has the times. */
function beside({ x, from, to, words }: Shading, { serviceX }: Diagram): SVGElement[] {
  const lines = words.length * 2 * LINE <= to - from ? words.flatMap((word) => word.split(" ")) : words.map(short);
  const right = x <= serviceX;
  const height = lines.length * LINE;
  const times = Math.max(1, Math.floor((to - from + REPEATED_BESIDE) / (height + REPEATED_BESIDE)));
  return Array.from({ length: times }, (_, time) => time * (height + REPEATED_BESIDE)).flatMap((down) =>
    lines.map((line, at) =>
      draw(
        "text",
        {
          class: right ? "shade-words" : "shade-words before",
          x: round(x + (right ? 1 : -1) * (SHADE / 2 + 4)),
          y: from + 11 + down + at * LINE,
        },
        line,
      ),
    ),
  );
}

/** What is done, without the direction: "held", for "deliveries held". */
function short(words: string): string {
  return words.slice(words.lastIndexOf(" ") + 1);
}
