/** Small helpers for building the page. Text only ever enters it as text. */

import { pieces } from "../../core/text.js";
import { stretches } from "./links.js";

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

/** An item of a list whose items are grouped, which neither `ol` nor `ul` allows. */
export function listItem(className: string, ...children: (Node | string)[]): HTMLElement {
  const item = make("div", className, ...children);
  item.setAttribute("role", "listitem");
  return item;
}

/** A list of such items. */
export function itemList(className: string): HTMLElement {
  const list = make("div", className);
  list.setAttribute("role", "list");
  return list;
}

/** A button that does something. */
export function button(label: string, className: string, onClick: () => void): HTMLButtonElement {
  const element = make("button", className, label);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

/** Text for screen readers only. */
export function spoken(text: string): HTMLElement {
  return make("span", "vh", text);
}

/** Text from others, made safe: characters that could act on the page are shown escaped. */
export function safely(text: string): (Node | string)[] {
  return pieces(text).map((piece) => (piece.escaped ? make("code", "escape", piece.text) : piece.text));
}

/** The same, with its web addresses as links. A link to another host than it seems shows the real host. */
export function linked(text: string): (Node | string)[] {
  return stretches(text).flatMap((stretch) => {
    if (stretch.href === null) return safely(stretch.text);
    const link = make("a", stretch.host === null ? "" : "elsewhere", stretch.text);
    Object.assign(link, { href: stretch.href, target: "_blank", rel: "noopener noreferrer", title: stretch.href, dir: "ltr" });
    // Shown by the style sheet, so that neither copying nor searching finds it in the text.
    if (stretch.host !== null) link.dataset["host"] = stretch.host;
    return [link];
  });
}

/** Sets the text of an element if it differs, so that live regions speak only of changes. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides an element. */
export function show(element: HTMLElement, shown: boolean): void {
  if (element.hidden === shown) element.hidden = !shown;
}

/** The children that `reconcile` has given to an element, by key. */
interface Children {
  readonly keys: readonly string[];
  readonly nodes: readonly HTMLElement[];
}

const NONE: Children = { keys: [], nodes: [] };
const CHILDREN = new WeakMap<HTMLElement, Children>();

/** Removes the children that `reconcile` has given to an element. */
export function empty(parent: HTMLElement): void {
  parent.replaceChildren();
  CHILDREN.delete(parent);
}

/**
 * Makes the children of `parent` those of `items`, in order, keeping what is already there under the
 * same key: nothing that stays is touched, so neither focus nor selection nor a live region notices.
 * For children that stay at the beginning and at the end, only the keys are compared.
 */
export function reconcile<T>(
  parent: HTMLElement,
  items: readonly T[],
  keyOf: (item: T, index: number) => string,
  build: (item: T, index: number) => HTMLElement,
): void {
  const before = CHILDREN.get(parent) ?? NONE;
  const keys = items.map(keyOf);
  const [was, is] = [before.keys.length, keys.length];
  let start = 0;
  while (start < was && start < is && before.keys[start] === keys[start]) start += 1;
  let kept = 0;
  while (kept < was - start && kept < is - start && before.keys[was - 1 - kept] === keys[is - 1 - kept]) kept += 1;
  if (start === was && start === is) return;

  const old = new Map(before.keys.slice(start, was - kept).map((key, index) => [key, before.nodes[start + index]!]));
  const wanted = new Set(keys.slice(start, is - kept));
  for (const [key, node] of old) if (!wanted.has(key)) node.remove();
  let cursor: Element | null = start === 0 ? parent.firstElementChild : before.nodes[start - 1]!.nextElementSibling;
  const changed = items.slice(start, is - kept).map((item, offset) => {
    const index = start + offset;
    const node = old.get(keys[index]!) ?? build(item, index);
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
    return node;
  });
  CHILDREN.set(parent, { keys, nodes: [...before.nodes.slice(0, start), ...changed, ...before.nodes.slice(was - kept)] });
}
