/** Style sheets of parts of the page that are loaded when they are first needed. */

const loads = new Map<string, Promise<void>>();

/** Adds a style sheet to the page, once per address, and waits for it. After a failed load, the next call tries again. */
export function addStyleSheet(href: string): Promise<void> {
  const known = loads.get(href);
  if (known !== undefined) return known;
  const load = new Promise<void>((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => {
      loads.delete(href);
      link.remove();
      reject(new Error(`${href} could not be loaded`));
    });
    document.head.append(link);
  });
  loads.set(href, load);
  return load;
}
