/** What the lab's panel says about faults, companions and scenarios. Pure: data in, words out. */

import type { CompanionKind, Fault, Impairment, LabPerson, ScenarioState, Way } from "./types.js";

/**
 * What the lab does to this page, for its user. `faults` are the service's words: "deliveries held, publishes delayed".
 */
export function notice(faults: string): string {
  const parts = faults.split(", ").flatMap((part) => NOTICES[part] ?? []);
  if (parts.length === 0) return "";
  return `The teacher’s lab ${joined(parts)}. Nothing is lost: all of it follows, in order, when the fault ends.`;
}

const NOTICES: Readonly<Record<string, string>> = {
  "deliveries held": "holds back what others write",
  "deliveries delayed": "delays what others write",
  "deliveries cut": "cuts this page off from what others write",
  "publishes held": "holds back what you send",
  "publishes delayed": "delays what you send",
  "publishes cut": "cuts off what you send",
  paused: "has paused this page",
};

function joined(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}`;
}

/** The faults of a participant, in the words of the service's log. */
export function logWords({ deliveries, publishes, pause }: Fault): string {
  const of = (way: Way, { hold, cut, delayMs, jitterMs }: Impairment) => [
    ...(hold ? [`${way} held`] : []),
    ...(cut ? [`${way} cut`] : []),
    ...(delayMs + jitterMs > 0 ? [`${way} delayed`] : []),
  ];
  return [...of("deliveries", deliveries), ...of("publishes", publishes), ...(pause ? ["paused"] : [])].join(", ");
}

/** The faults of a participant, in one line. */
export function faultWords(fault: Fault | null): string {
  if (fault === null) return "No fault";
  const parts = [
    ...wayWords("deliveries", fault.deliveries),
    ...wayWords("publishes", fault.publishes),
    ...(fault.pause ? ["paused"] : []),
  ];
  const text = parts.join(", ");
  return text === "" ? "No fault" : text[0]!.toUpperCase() + text.slice(1);
}

function wayWords(way: Way, impairment: Impairment): string[] {
  const { hold, cut, delayMs, jitterMs } = impairment;
  const range = jitterMs > 0 ? `${delayMs / 1000} to ${(delayMs + jitterMs) / 1000} s` : `${delayMs / 1000} s`;
  return [
    ...(hold ? [`${way} held`] : []),
    ...(cut ? [`${way} cut`] : []),
    ...(delayMs + jitterMs > 0 ? [`${way} delayed by ${range}`] : []),
  ];
}

/** A participant's state: its faults, what is held, and when the faults end. */
export function personWords({ fault, deliveriesHeld, publishesHeld, endsInMs }: LabPerson): string {
  const held = heldWords(deliveriesHeld, publishesHeld);
  const parts = [faultWords(fault), ...(held === "" ? [] : [held]), ...(endsInMs === null ? [] : [`ends in ${timeWords(endsInMs)}`])];
  return parts.join(" · ");
}

/** How much is held for a participant. */
export function heldWords(deliveries: number, publishes: number): string {
  const count = (number: number, one: string, many: string) => (number === 0 ? [] : [`${number} ${number === 1 ? one : many}`]);
  const parts = [...count(deliveries, "delivery", "deliveries"), ...count(publishes, "publish", "publishes")];
  return parts.length === 0 ? "" : `${parts.join(" and ")} ${deliveries + publishes === 1 ? "waits" : "wait"}`;
}

/** The time that is left. */
export function timeWords(milliseconds: number): string {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** What each kind of companion does. */
export const COMPANIONS: Readonly<Record<CompanionKind, { readonly name: string; readonly does: string }>> = {
  echo: { name: "Echo", does: "repeats what people say" },
  chatterbox: { name: "Chatterbox", does: "says something every three seconds" },
  answerer: { name: "Answerer", does: "answers messages that end with a question mark" },
  slow: { name: "Slow reader", does: "takes one event every three seconds, and says which one it has only now read" },
  "wrong-clock": { name: "Wrong wall clock", does: "has a wall clock that is ten minutes slow, and says the time when somebody writes" },
  actor: { name: "Actor", does: "does what a scenario says" },
};

/** How far a scenario has come. */
export function scenarioWords(state: ScenarioState, person: string, problem: string): string {
  switch (state) {
    case "playing":
      return "Playing.";
    case "waits-for-advance":
      return "Waiting for you: press Next step.";
    case "waits-for-person":
      return `Waiting for a message from ${person} in the chat. Next step skips it.`;
    case "finished":
      return "Finished.";
    case "stopped":
      return "Stopped.";
    case "failed":
      return `It failed: ${problem}`;
  }
}
