/** The faults of the lab that this page has seen, for the diagram. */

import { SERVICE_ID, type Shade, changed } from "../core/causality/shades.js";
import type { State } from "../core/machine/state.js";
import type { LabState } from "./types.js";
import { logWords } from "./words.js";

/** Follows the faults of one conversation. */
export class Faults {
  #shades: readonly Shade[] = [];
  #epoch = "";

  /** All of them; a new object whenever they have changed. */
  get shades(): readonly Shade[] {
    return this.#shades;
  }

  /** Takes in the faults of this page, which the service reports. */
  follow({ session, position, labFaults }: State): void {
    this.#begin(session?.epoch ?? "");
    if (session !== null && position !== null) this.#shades = changed(this.#shades, session.participantId, labFaults, position);
  }

  /** Takes in what the lab reports about all participants. */
  see({ people, writerStoppedMs }: LabState, { session, position }: State): void {
    this.#begin(session?.epoch ?? "");
    const now = position ?? 0n;
    const here = new Set(people.map(({ person }) => person.id));
    let shades = this.#shades;
    for (const { person, fault, before } of people) {
      shades = changed(shades, person.id, fault === null ? "" : logWords(fault), fault === null ? now : before);
    }
    for (const { id } of shades) if (id !== SERVICE_ID && !here.has(id)) shades = changed(shades, id, "", now);
    this.#shades = changed(shades, SERVICE_ID, writerStoppedMs === null ? "" : "writer stopped", now);
  }

  #begin(epoch: string): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#shades = [];
  }
}
