/** What is pointed at in the diagram is marked in the transcript, and the other way around. */

import { byId } from "./dom.js";

/** Marks the row of an event, and no other. */
export function pointAt(sequence: bigint | null): void {
  for (const row of byId("transcript").querySelectorAll(".pointed")) row.classList.remove("pointed");
  if (sequence !== null)
    byId("transcript").querySelector(`.segment:last-child .row[data-sequence="${sequence}"]`)?.classList.add("pointed");
}

/** Calls `point` with the event of the row that the user points at, or with none. */
export function pointedAt(point: (sequence: bigint | null) => void): void {
  let last = "";
  const to = (sequence: string) => {
    if (sequence === last) return;
    last = sequence;
    point(sequence === "" ? null : BigInt(sequence));
  };
  const transcript = byId("transcript");
  transcript.addEventListener("pointerover", ({ target }) => {
    to((target as Element).closest<HTMLElement>(".segment:last-child .row")?.dataset["sequence"] ?? "");
  });
  transcript.addEventListener("pointerleave", () => to(""));
}
