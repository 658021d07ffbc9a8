/** A color for each name: the same on every page, whatever the order in which people join. */

/** How many colors there are: `.hue-0` to `.hue-15` in colors.css. */
export const HUES = 16;

/** The initial value of the hash, chosen so that the names in the documentation's examples get different colors. */
const BASIS = 2166180429;

/** The class of a name's color. */
export function hueOf(name: string): string {
  return `hue-${hash(name) % HUES}`;
}

/** FNV-1a, with its bits mixed once more so that similar names get different colors. */
function hash(text: string): number {
  let value = BASIS;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 16777619);
  }
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  value = Math.imul(value ^ (value >>> 12), 0x297a2d39);
  return (value ^ (value >>> 15)) >>> 0;
}
