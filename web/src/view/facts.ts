/** What is known about an event's causes, in words, for those who do not use the picture. Pure: events in, words out. */

import { type Causality, type Crossed, type Relation, saysWhatWasSeen } from "../core/causality/causality.js";
import type { ChatEvent } from "../core/event.js";
import { visible } from "../core/text.js";
import type { Contradiction } from "../core/causality/wall.js";

/** How many events are named before the rest is counted. */
const NAMED_MAX = 4;

/** The same for each of the two lists in a row of the transcript. */
const CROSSED_NAMED_MAX = 2;

/** A sign for each relation, so that color is not needed. */
export const SIGN: Readonly<Record<Relation, string>> = { same: "●", past: "▲", future: "▼", concurrent: "⇄", unknown: "?" };

/** All relations, each of which is part of a class name. */
export const RELATIONS = Object.keys(SIGN) as readonly Relation[];

/** How many characters of a message are quoted. */
const QUOTED_MAX = 40;

/** The beginning of a message, in quotation marks. */
export function quoted(content: string): string {
  const characters = [...content.replace(/\s+/g, " ").trim()];
  return `“${visible(characters.length > QUOTED_MAX ? `${characters.slice(0, QUOTED_MAX - 1).join("")}…` : characters.join(""))}”`;
}

/** An event in a few words: "“me, please” by ann [19]". The number in brackets is its logical time. */
export function titled(event: ChatEvent): string {
  const name = visible(event.author.name);
  switch (event.kind.type) {
    case "joined":
      return `${name}’s join [${event.logicalTime}]`;
    case "left":
      return `${name}’s leave [${event.logicalTime}]`;
    case "message":
      return `${quoted(event.content)} by ${name} [${event.logicalTime}]`;
  }
}

/** The same with its place in the order: "event 7, “me, please” by ann [19]". */
export function placed(event: ChatEvent): string {
  return `event ${event.sequence}, ${titled(event)}`;
}

/** Says that a log gives an event's sequence to others, too, which is a mistake of the service; empty if it does not. */
export function rivalry({ sequence, rivals = [] }: ChatEvent): string {
  const [first, ...more] = rivals;
  if (first === undefined) return "";
  return `number ${sequence} was given out again, to ${titled(first)}${more.length > 0 ? ` and ${more.length} more` : ""}`;
}

/** One thing that is known about an event. */
export interface Fact {
  readonly relation: Relation;
  readonly text: string;
}

/** `rivalry` as a sentence. */
function again(event: ChatEvent): string {
  const found = rivalry(event);
  return found === "" ? "" : ` ✗ N${found.slice(1)}.`;
}

/** What is known about an event. */
export function facts(event: ChatEvent, causality: Causality): Fact[] {
  const related: Record<Relation, ChatEvent[]> = { same: [], past: [], future: [], concurrent: [], unknown: [] };
  for (const other of causality.events) related[causality.relation(other, event)].push(other);
  return [
    { relation: "same", text: `Event ${event.sequence}, ${titled(event)}${sending(event)}.${again(event)}` },
    { relation: "past", text: past(event, causality, related.past) },
    ...concurrent(event, related.concurrent),
    ...unknown(event, related.unknown),
    { relation: "future", text: `In its future: ${listed(related.future) || "nothing yet"}.` },
  ];
}

function sending({ kind, author }: ChatEvent): string {
  return kind.type === "message" && kind.sentLogicalTime > 0n ? `, sent at ${kind.sentLogicalTime} by ${visible(author.name)}’s clock` : "";
}

function past(event: ChatEvent, causality: Causality, events: readonly ChatEvent[]): string {
  if (event.kind.type === "left" && event.kind.disconnected)
    return "In its past: everything before it. The service announced it, because the connection was lost.";
  const known = causality.known(event);
  const own = events.filter(({ sequence }) => sequence > known);
  const upTo = causality.event(known);
  const parts = [
    ...(known > 0n ? [`everything up to ${upTo === undefined ? `event ${known}` : placed(upTo)}`] : []),
    ...(own.length > 0 ? [listed(own.reverse())] : []),
  ];
  return `In its past: ${parts.join(", and ") || "nothing known"}.`;
}

/** Empty for an event that does not state what its author had seen: its concurrency cannot be known. */
function concurrent(event: ChatEvent, events: ChatEvent[]): Fact[] {
  if (!saysWhatWasSeen(event)) return [];
  return [{ relation: "concurrent", text: `Concurrent with it: ${listed(nearest(events, event)) || "nothing known"}.` }];
}

function unknown(event: ChatEvent, events: ChatEvent[]): Fact[] {
  if (events.length === 0) return [];
  const named = listed(nearest(events, event));
  return [
    {
      relation: "unknown",
      text: `Relation unknown: ${named}. Joins, leaves and messages of simple clients do not say what their senders had seen.`,
    },
  ];
}

function nearest(events: ChatEvent[], to: ChatEvent): ChatEvent[] {
  const distance = ({ sequence }: ChatEvent) => Number(sequence > to.sequence ? sequence - to.sequence : to.sequence - sequence);
  return events.sort((a, b) => distance(a) - distance(b));
}

/** "a; b; c; d; and 2 more". */
function listed(events: readonly ChatEvent[]): string {
  return enumerated(events.slice(0, NAMED_MAX).map(placed), events.length, "; ");
}

function enumerated(named: readonly string[], count: number, between: string): string {
  const more = count - named.length;
  return more > 0 ? `${named.join(between)}${between}and ${more} more` : named.join(between);
}

/** What the transcript says about a message that crossed others. */
export function crossing({ unseen, unseenCount, by, byCount }: Crossed): string {
  const said: string[] = [];
  const names = (events: readonly ChatEvent[], word: string) =>
    events.slice(0, CROSSED_NAMED_MAX).map(({ author, logicalTime }) => `${visible(author.name)}${word} at ${logicalTime}`);
  if (unseenCount > 0) said.push(`written before seeing ${enumerated(names(unseen, "’s message"), unseenCount, ", ")}`);
  if (byCount > 0) said.push(`not yet seen when ${enumerated(names(by, " wrote"), byCount, ", ")}`);
  return said.join("; ");
}

/** What the conversation by wall clock says where the clock is wrong. */
export function contradiction({ relation, earlier, later }: Contradiction): string {
  const pair = `${titled(later)} is above ${titled(earlier)}`;
  switch (relation) {
    case "past":
      return `The wall clock contradicts causality: ${pair}, which is in its past.`;
    case "concurrent":
      return `The wall clock contradicts the order, though not causality: ${pair}.`;
    case "unknown":
      return `The wall clock contradicts the order, and perhaps causality: ${pair}.`;
  }
}
