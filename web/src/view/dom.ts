/** Small helpers for building the page. Text only ever enters it as text. */

import { pieces } from "../core/text.js";

/** The element with this id, which the page is known to have. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** A new element with a class and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/** A button that does something. */
export function button(label: string, className: string, onClick: () => void): HTMLButtonElement {
  const element = make("button", className, label);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

/** Text that only screen readers get. */
export function spoken(text: string): HTMLElement {
  return make("span", "vh", text);
}

/** Text from others: nothing in it acts on the page, and what would is shown escaped. */
export function safely(text: string): (Node | string)[] {
  return pieces(text).map((piece) => (piece.escaped ? make("code", "escape", piece.text) : piece.text));
}

/** Sets the text of an element if it differs, so that live regions speak only of changes. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides an element. */
export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) element.hidden = !shown;
}

/**
 * Makes the children of `parent` those of `items`, in order, keeping what is already there under the
 * same key: nothing that stays is touched, so neither focus nor selection nor a live region notices.
 */
export function reconcile<T>(
  parent: HTMLElement,
  items: readonly T[],
  keyOf: (item: T, index: number) => string,
  build: (item: T, index: number) => HTMLElement,
): void {
  const present = new Map<string, HTMLElement>();
  for (const child of parent.children) {
    if (child instanceof HTMLElement && child.dataset["key"] !== undefined) present.set(child.dataset["key"], child);
  }
  const keys = items.map(keyOf);
  const wanted = new Set(keys);
  for (const [key, child] of present) if (!wanted.has(key)) child.remove();
  let cursor = parent.firstElementChild;
  items.forEach((item, index) => {
    const key = keys[index] ?? "";
    let child = present.get(key);
    if (child === undefined) {
      child = build(item, index);
      child.dataset["key"] = key;
    }
    if (child === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(child, cursor);
  });
}
