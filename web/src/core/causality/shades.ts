/** The times for which a lab's faults are in force, which the diagram shades. Pure. */

/** The id of the service, for faults of the service itself. */
export const SERVICE_ID = "";

/** Faults of one participant, from one change to the next. */
export interface Shade {
  /** The participant's id; `SERVICE_ID` for the service. */
  readonly id: string;
  /** The last event before it. */
  readonly from: bigint;
  /** The last event before its end; null while it lasts. */
  readonly to: bigint | null;
  /** The faults in words, such as `deliveries held`. */
  readonly words: string;
}

/** The shades after a change: from the event after `at` on, `words` are the faults of a participant; empty for none. */
export function changed(shades: readonly Shade[], id: string, words: string, at: bigint): readonly Shade[] {
  const open = shades.find((shade) => shade.id === id && shade.to === null);
  // Held messages were released; the fault stays the same.
  if ((open?.words ?? "") === words) return shades;
  const ended =
    open === undefined ? shades : shades.map((shade) => (shade === open ? { ...open, to: at > open.from ? at : open.from } : shade));
  return words === "" ? ended : [...ended, { id, from: at, to: null, words }];
}

/** The shades once all faults have ended, as when the service restarts. */
export function ended(shades: readonly Shade[], at: bigint): readonly Shade[] {
  return shades.filter(({ to }) => to === null).reduce((rest, { id }) => changed(rest, id, "", at), shades);
}

/** The shades as they were when an event was the newest. */
export function shadesAt(shades: readonly Shade[], at: bigint): readonly Shade[] {
  if (shades.length === 0) return shades;
  const begun = shades.filter(({ from }) => from <= at);
  return begun.map((shade) => (shade.to === null || shade.to < at ? shade : { ...shade, to: null }));
}
