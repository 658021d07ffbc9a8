/** The web addresses in a text. Pure: text in, stretches out; together they are the text, unchanged. */

/** A stretch of a text. */
export interface Stretch {
  readonly text: string;
  /** Where it leads, if it is a web address. */
  readonly href: string | null;
  /** The host that it leads to, if it is not the host as written. */
  readonly host: string | null;
}

/** Spaces, quotation marks and the punctuation of East Asian scripts end an address. */
const RUN = /(?<![\p{L}\p{N}_])https?:\/\/[^\t\n\p{Zs}<>"“”«»。｡．，、；：！？（）「」『』【】《》〈〉]+/giu;

/** Characters that cannot be seen, or that reorder others. An address with one of them could look like another one. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Punctuation that belongs to the sentence around an address when it comes last. */
const TRAILING = /[.,;:!?'’…*_~]+$/u;

const CLOSES: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };

/** Splits a text into web addresses and the text between them. */
export function stretches(text: string): Stretch[] {
  const found: Stretch[] = [];
  let done = 0;
  const upTo = (end: number) => {
    if (end > done) found.push({ text: text.slice(done, end), href: null, host: null });
    done = end;
  };
  RUN.lastIndex = 0;
  for (let match = RUN.exec(text); match !== null; match = RUN.exec(text)) {
    const [run] = match;
    const address = UNSEEN.test(run) ? "" : trimmed(run);
    const target = address === "" ? null : targetOf(address);
    if (target === null) continue;
    upTo(match.index);
    done = match.index + address.length;
    found.push({ text: address, ...target });
    // What was cut off may hold another address: [text](address).
    RUN.lastIndex = done;
  }
  upTo(text.length);
  return found;
}

/** Without the punctuation and the brackets of the sentence around it. */
function trimmed(run: string): string {
  const open: string[] = [];
  let end = run.length;
  for (let index = 0; index < end; index += 1) {
    const character = run[index]!;
    const opener = CLOSES[character];
    if (opener === undefined) {
      if ("([{".includes(character)) open.push(character);
    } else if (open.pop() !== opener) {
      end = index;
    }
  }
  return run.slice(0, end).replace(TRAILING, "");
}

function targetOf(address: string): { readonly href: string; readonly host: string | null } | null {
  const authority = /^https?:\/\/([^/?#]*)/i.exec(address)?.[1] ?? "";
  // "https://bank.example@other.example" and "https://bank.example\@other.example" lead elsewhere than they seem to.
  if (authority === "" || /[@\\]/.test(address.slice(0, address.indexOf(authority) + authority.length))) return null;
  const target = parsed(address);
  if (target === null) return null;
  const written = authority.replace(/:\d*$/, "").toLowerCase();
  return { href: target.href, host: written === target.hostname ? null : target.hostname };
}

function parsed(address: string): URL | null {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}
