/** Small helpers for pictures. The page's policy forbids inline styles: styling comes from classes and attributes. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** A new element of a picture. */
export function draw<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>>,
  ...children: (Node | string)[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** An arrow from one point to another. Its tip stays `clear` pixels away from the end. */
export function arrow(line: string, from: Point, to: Point, clear: number): SVGElement[] {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.max(1, Math.hypot(dx, dy));
  const [ux, uy] = [dx / length, dy / length];
  const tip = { x: to.x - ux * clear, y: to.y - uy * clear };
  const base = { x: tip.x - ux * 7, y: tip.y - uy * 7 };
  const head = `M${at(tip.x, tip.y)}L${at(base.x - uy * 2.8, base.y + ux * 2.8)}L${at(base.x + uy * 2.8, base.y - ux * 2.8)}Z`;
  return [
    draw("path", { class: line, d: `M${at(from.x, from.y)}L${at(base.x, base.y)}` }),
    draw("path", { class: `${line}-head`, d: head }),
  ];
}

/** A point of the picture. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

function at(x: number, y: number): string {
  return `${round(x)} ${round(y)}`;
}

/** A tenth of a pixel is fine enough. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
