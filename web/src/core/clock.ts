/**
 * Lamport's logical clock: L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed
 * System", Communications of the ACM 21(7), 1978, implementation rules IR1 and IR2.
 */

const TIME_MAX = (1n << 64n) - 1n;

/** A reading of a Lamport clock, a uint64 on the wire. 0 is the time before the first event. */
export type LogicalTime = bigint;

/** A step of a clock, kept so that people can follow the arithmetic. */
export type ClockStep =
  | { readonly rule: "send"; readonly before: LogicalTime; readonly after: LogicalTime }
  | { readonly rule: "receive"; readonly before: LogicalTime; readonly stamp: LogicalTime; readonly after: LogicalTime };

/** A local event, such as a send (IR1): C := C + 1. */
export function tick(before: LogicalTime): ClockStep {
  return { rule: "send", before, after: plusOne(before) };
}

/** The receipt of something stamped `stamp` (IR2): C := max(C, stamp) + 1. */
export function receive(before: LogicalTime, stamp: LogicalTime): ClockStep {
  return { rule: "receive", before, stamp, after: plusOne(before > stamp ? before : stamp) };
}

/** Stops at the end of the range rather than wrapping around. */
function plusOne(time: LogicalTime): LogicalTime {
  return time < TIME_MAX ? time + 1n : TIME_MAX;
}
