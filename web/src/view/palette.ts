/** A colour for each participant: the same through a visit, and different from those beside it. */

/** How many colours there are: `.hue-0` to `.hue-9` in the style sheet. */
export const HUES = 10;

/** Colours that were given out. */
export class Palette {
  readonly #given = new Map<string, number>();

  /** The class of a participant's colour. It is as unlike those of `present` as can be. */
  classOf(id: string, present: readonly string[]): string {
    const known = this.#given.get(id);
    if (known !== undefined) return `hue-${known}`;
    const taken = present.flatMap((other) => this.#given.get(other) ?? []);
    const wish = hash(id) % HUES;
    // The wish, unless another colour is further from those that are taken.
    let hue = wish;
    for (let turn = 1; turn < HUES; turn += 1) {
      const other = (wish + turn) % HUES;
      if (distance(other, taken) > distance(hue, taken)) hue = other;
    }
    this.#given.set(id, hue);
    return `hue-${hue}`;
  }
}

/** How far a colour is, round the circle, from the nearest of others. */
function distance(hue: number, others: readonly number[]): number {
  const apart = (other: number) => Math.min((hue - other + HUES) % HUES, (other - hue + HUES) % HUES);
  return others.length === 0 ? 0 : Math.min(...others.map(apart));
}

function hash(text: string): number {
  let value = 2166136261;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 16777619);
  }
  return value >>> 0;
}
