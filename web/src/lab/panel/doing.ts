/** How the parts of the lab's panel have something done. */

import type { State } from "../../core/machine/state.js";
import type { LabClient } from "../client.js";
import type { LabState } from "../types.js";

/** What a part of the panel can have done. */
export interface Doing {
  readonly client: LabClient;
  /** Does something, says what went wrong, and shows what came of it. */
  run(what: (client: LabClient) => Promise<void>): Promise<void>;
}

/** A part of the panel, behind a tab. */
export interface Part {
  readonly title: string;
  readonly element: HTMLElement;
  /** Shows the lab and the page as they are. */
  render(lab: LabState, page: State): void;
}
