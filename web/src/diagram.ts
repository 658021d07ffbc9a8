/** The entry of the diagram, a part of the page that is loaded when it is first opened. */

import { addStyleSheet } from "./platform/style-sheet.js";
import { Picture } from "./view/diagram/picture.js";
import type { Drawing, Wishes } from "./view/panel.js";

/** Takes over the panel of the diagram. */
export async function openDiagram(wishes: Wishes): Promise<Drawing> {
  await addStyleSheet("diagram-style.css");
  return new Picture(wishes);
}
