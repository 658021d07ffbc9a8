/** What is copied from the transcript: one event per line, as the terminal client prints it, in logical order. */

import { visible } from "../../core/text.js";

/** An event as a line: "[9] alice: hello", "[5] Participant alice joined Chit Chat at logical time 5". */
export function line(time: string, name: string | null, text: string): string {
  return visible(`[${time}] ${name === null ? "" : `${name}: `}${text}`).replaceAll("\n", "\\n");
}

/** Lets a selection of several rows of the transcript be copied as lines. A selection within one row is copied unchanged. */
export function copyLines(root: HTMLElement): void {
  document.addEventListener("copy", (event) => {
    const selection = getSelection();
    if (event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement) return;
    if (selection === null || event.clipboardData === null) return;
    const rows = selectedRows(root, selection);
    if (rows.length < 2) return;
    event.clipboardData.setData("text/plain", rows.map(lineOf).join("\n"));
    event.preventDefault();
  });
}

/** The rows in which text is selected, in logical order. */
function selectedRows(root: HTMLElement, selection: Selection): HTMLElement[] {
  const ranges = Array.from({ length: selection.rangeCount }, (_, index) => selection.getRangeAt(index)).filter((range) =>
    range.intersectsNode(root),
  );
  if (ranges.length === 0) return [];
  const sections = [...root.children].map((section) =>
    [...section.querySelectorAll<HTMLElement>(".row")].filter((row) => ranges.some((range) => isWithin(row, range))).sort(bySequence),
  );
  return sections.flat();
}

/** A selection that ends before the first letter of a row does not include the row. */
function isWithin(row: HTMLElement, range: Range): boolean {
  if (!range.intersectsNode(row)) return false;
  const part = document.createRange();
  part.selectNodeContents(row);
  if (part.compareBoundaryPoints(Range.START_TO_START, range) < 0) part.setStart(range.startContainer, range.startOffset);
  if (part.compareBoundaryPoints(Range.END_TO_END, range) > 0) part.setEnd(range.endContainer, range.endOffset);
  return part.toString().trim() !== "";
}

function bySequence(one: HTMLElement, other: HTMLElement): number {
  const [a, b] = [one, other].map((row) => BigInt(row.dataset["sequence"] ?? 0)) as [bigint, bigint];
  return a < b ? -1 : a > b ? 1 : 0;
}

function lineOf(row: HTMLElement): string {
  const text = (part: string) => row.querySelector(part)?.textContent ?? "";
  return line(row.dataset["time"] ?? "", row.dataset["kind"] === "message" ? text(".name") : null, text(".text"));
}
