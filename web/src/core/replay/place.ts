/** The address of an event in a run: `#run=example&event=11`. `#run` alone is the page that opens logs. */

/** What an address names. */
export interface Place {
  /** The name of a run that the service has; empty for logs that the user opens. */
  readonly run: string;
  /** The event's sequence; null if the address has none. */
  readonly event: bigint | null;
}

/** The place that the part of an address after `#` names; null if it names no run. */
export function toPlace(hash: string): Place | null {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const run = fields.get("run");
  if (run === null) return null;
  const event = fields.get("event") ?? "";
  return { run, event: /^\d{1,20}$/.test(event) ? BigInt(event) : null };
}

/** The address of a place. */
export function toHash({ run, event }: Place): string {
  return `#run${run === "" ? "" : `=${encodeURIComponent(run)}`}${event === null ? "" : `&event=${event}`}`;
}
