/**
 * What the clocks do as an event travels from its sender through the service to a receiver: Lamport's rules IR1 and IR2,
 * in numbers. Pure.
 */

import { receive, tick } from "../core/clock.js";
import type { ChatEvent } from "../core/event.js";

/** One firing of a rule, at one process. */
export interface Firing {
  readonly rule: "IR1" | "IR2";
  /** Whose clock it is. */
  readonly who: string;
  /** What happens there. */
  readonly what: "sends" | "receives" | "broadcasts";
  /** The clock before; null if it is not known. */
  readonly before: bigint | null;
  /** For IR2: the time that came with the message. */
  readonly stamp: bigint | null;
  /** The clock after; null if it is not known. */
  readonly after: bigint | null;
}

/** A receiver of an event, with its clock if that is known. */
export interface Receiver {
  readonly name: string;
  readonly clock: bigint | null;
}

/** The rules that fire for an event, in order. `previous` is the time of the event before it, if known. */
export function firings(event: ChatEvent, previous: bigint | null, receiver: Receiver | null): Firing[] {
  return [...sent(event), ...ordered(event, previous), ...(receiver === null ? [] : [received(event, receiver)])];
}

/** At the sender. The events of joins and leaves do not say when they were sent. */
function sent(event: ChatEvent): Firing[] {
  if (event.kind.type !== "message") return [];
  const { before, after } = tick(event.kind.sentLogicalTime - 1n);
  return [{ rule: "IR1", who: event.author.name, what: "sends", before, stamp: null, after }];
}

/** At the service: the receipt, and the broadcast, whose time is the event's. */
function ordered(event: ChatEvent, previous: bigint | null): Firing[] {
  const time = event.logicalTime;
  const stamp = event.kind.type === "message" ? event.kind.sentLogicalTime : null;
  // The larger of clock and stamp was two less than the event's time. If that is not the stamp, it was the clock.
  const larger = time - 2n;
  const before = stamp === larger ? previous : larger;
  const who = "the service";
  return [
    { rule: "IR2", who, what: "receives", before, stamp, after: time - 1n },
    { rule: "IR1", who, what: "broadcasts", before: time - 1n, stamp: null, after: time },
  ];
}

/** At the receiver. */
function received(event: ChatEvent, { name, clock }: Receiver): Firing {
  const stamp = event.logicalTime;
  return { rule: "IR2", who: name, what: "receives", before: clock, stamp, after: clock === null ? null : receive(clock, stamp).after };
}

/** A firing as a sum: "max(12, 19) + 1 = 20". */
export function sum({ rule, before, stamp, after }: Firing): string {
  const was = before ?? "C";
  if (rule === "IR1") return `${was} + 1 = ${after ?? "C + 1"}`;
  const larger = stamp === null ? `max(${was}, t)` : `max(${was}, ${stamp})`;
  return `${larger} + 1${after === null ? "" : ` = ${after}`}`;
}

/** The same in words. */
export function words(firing: Firing): string {
  const { rule, who, what, before, stamp, after } = firing;
  if (rule === "IR1") return `${capital(who)} ${what}: the clock moves forward by one, from ${before} to ${after}.`;
  if (stamp === null)
    return `${capital(who)} receives the request. Its clock becomes the larger of its own time and the request’s, plus 1: ${after}.`;
  const least = stamp + 1n;
  if (after === null) return `${capital(who)} receives ${stamp}. Only its own page knows its clock; after this it is at least ${least}.`;
  if (before === null) return `${capital(who)} receives ${stamp}, which is not less than its own clock; plus 1 it is ${after}.`;
  if (before === stamp) return `${capital(who)} receives ${stamp}, equal to its own clock; plus 1 it is ${after}.`;
  const which = before > stamp ? "Its own clock is" : "The time that arrived is";
  return `${capital(who)}’s clock is ${before}, and ${stamp} arrives. ${which} the larger; plus 1 it is ${after}.`;
}

function capital(text: string): string {
  return text.startsWith("the ") ? `T${text.slice(1)}` : text;
}
