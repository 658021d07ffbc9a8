/** How the parts of the lab's panel call the lab. */

import type { State } from "../../core/machine/state.js";
import type { LabClient } from "../client.js";
import type { LabState } from "../types.js";

/** Makes the calls of the panel's parts. */
export interface Doing {
  readonly client: LabClient;
  /** Makes a call, shows any error, and then the lab's new state. */
  run(what: (client: LabClient) => Promise<void>): Promise<void>;
}

/** A part of the panel, behind a tab. */
export interface Part {
  readonly title: string;
  readonly element: HTMLElement;
  /** Shows the present state of the lab and of the page. */
  render(lab: LabState, page: State): void;
}
