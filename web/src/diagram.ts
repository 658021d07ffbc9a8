/** The entry of the diagram, a part of the page that is loaded when it is first opened. */

import { Picture } from "./view/diagram/picture.js";
import type { Drawing, Wishes } from "./view/panel.js";

/** Takes over the panel of the diagram. */
export async function openDiagram(wishes: Wishes): Promise<Drawing> {
  await looks();
  return new Picture(wishes);
}

let loaded: Promise<void> | null = null;

/** The style sheet of this part of the page. */
function looks(): Promise<void> {
  loaded ??= new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = "diagram-style.css";
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => {
      loaded = null;
      link.remove();
      reject(new Error("diagram-style.css could not be loaded"));
    });
    document.head.append(link);
  });
  return loaded;
}
