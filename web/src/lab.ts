/** The entry of the lab's panel, a part of the page that is loaded only if the service has a lab. */

import type { Shade } from "./core/causality/shades.js";
import type { State } from "./core/machine/state.js";
import { LabClient } from "./lab/client.js";
import { Faults } from "./lab/faults.js";
import { Notice } from "./lab/notice.js";
import { Panel } from "./lab/panel.js";
import { folderOf } from "./platform/place.js";
import { recall, remember } from "./platform/storage.js";
import { addStyleSheet } from "./platform/style-sheet.js";

/** The lab's part of the page. */
export interface LabView {
  /** Shows what has changed. */
  render(state: State): void;
  /** The faults that the page knows of. */
  readonly shades: readonly Shade[];
}

/**
 * Adds the lab to the page. `log` returns the page's own log. `changed` is called when the lab's faults have changed.
 * Unless `access` is "open", the lab needs its key; without the key the page only shows what the lab does to it. The key
 * comes with the address. It is removed from there, since others may see the screen, and stays in this tab.
 */
export async function open(access: string, log: () => string, changed: () => void): Promise<LabView> {
  await addStyleSheet("lab-style.css");
  const key = takeKey() ?? recall("labKey") ?? "";
  const notice = new Notice();
  const faults = new Faults();
  if (access !== "open" && key === "") {
    return {
      get shades() {
        return faults.shades;
      },
      render(state) {
        faults.follow(state);
        notice.render(state);
      },
    };
  }
  remember("labKey", key);
  let secret = "";
  const headers = (): Record<string, string> => ({
    ...(key === "" ? {} : { "lab-key": key }),
    ...(secret === "" ? {} : { authorization: `Bearer ${secret}` }),
  });
  const panel = new Panel(new LabClient(location.origin + folderOf(location.pathname), headers), log, (lab, state) => {
    const before = faults.shades;
    faults.see(lab, state);
    if (faults.shades !== before) changed();
  });
  return {
    get shades() {
      return faults.shades;
    },
    render(state) {
      secret = state.secret;
      notice.render(state);
      panel.render(state);
    },
  };
}

/** Takes the key out of the address: `#lab-key=…`. */
function takeKey(): string | null {
  const key = new URLSearchParams(location.hash.replace(/^#/, "")).get("lab-key");
  if (key !== null) history.replaceState(history.state, "", location.pathname + location.search);
  return key;
}
