/** The controls of the lab's panel. */

import { make } from "../../view/parts/dom.js";

let fields = 0;

/** A control with its label above it. */
export function field(label: string, control: HTMLInputElement | HTMLSelectElement): HTMLElement {
  fields += 1;
  control.id = `lab-field-${fields}`;
  const text = make("label", "", label);
  text.htmlFor = control.id;
  return make("div", "lab-field", text, control);
}

/** A drop-down list of values and their labels. */
export function select(options: readonly (readonly [string, string])[]): HTMLSelectElement {
  const element = make("select", "");
  for (const [value, label] of options) {
    const option = make("option", "", label);
    option.value = value;
    element.append(option);
  }
  return element;
}

/** A number in a range. */
export function number(value: number, min: number, max: number): HTMLInputElement {
  const element = make("input", "lab-number");
  Object.assign(element, { type: "number", min: String(min), max: String(max), step: "any", value: String(value) });
  return element;
}

/** A box to tick, with its label beside it. */
export function check(label: string): { readonly element: HTMLElement; readonly box: HTMLInputElement } {
  const box = make("input", "");
  box.type = "checkbox";
  return { box, element: make("label", "check", box, ` ${label}`) };
}
