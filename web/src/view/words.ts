/** What the page says about its own state. Pure: state and time in, words out. */

import { ANSWER_WAIT_MS, doubt } from "../core/doubt.js";
import { inWords } from "../core/machine/refusal.js";
import { type AnewCause, type ClockCause, type Explained, type Outgoing, type State, presentSegment } from "../core/machine/state.js";
import { characters } from "../core/text.js";
import { quoted, titled } from "./facts.js";

/** The tone of a state, which sets its color. */
export type Tone = "good" | "busy" | "bad";

/** A state in words; `count` changes every second and is not read aloud. */
export interface Status {
  readonly tone: Tone;
  readonly text: string;
  readonly count: string;
}

/** The connection, in words. */
export function status(state: State, at: number): Status {
  const { phase } = state;
  switch (phase.at) {
    case "out":
      return { tone: "busy", text: "Not taking part", count: "" };
    case "claiming":
    case "connecting":
      return { tone: "busy", text: state.session === null ? "Connecting…" : "Reconnecting…", count: "" };
    case "waiting":
      return { tone: "bad", text: "Waiting for a free connection", count: "" };
    case "offline":
      return { tone: "bad", text: "Offline: retrying", count: ` in ${seconds(phase.retryAt - at)} s` };
    case "leaving":
      return { tone: "busy", text: "Leaving…", count: "" };
    case "online": {
      const overdue = doubt(state, at);
      if (overdue !== null) {
        const text = overdue.missing === "answer" ? "No answer from the service" : "Nothing heard from the service";
        return { tone: "busy", text, count: ` for ${Math.floor((at - overdue.since) / 1000)} s` };
      }
      if (!phase.caughtUp) return { tone: "busy", text: "Catching up…", count: "" };
      const cause = presentSegment(state)?.cause ?? null;
      return { tone: "good", text: cause === null ? "Online" : `Online, joined anew: ${because(cause)}`, count: "" };
    }
  }
}

function because(cause: AnewCause): string {
  switch (cause) {
    case "EPOCH_CHANGED":
      return "the conversation started anew";
    case "SESSION_UNKNOWN":
      return "your session had ended";
    case "SEQUENCE_OUT_OF_RANGE":
      return "the service no longer has part of the conversation";
  }
}

/** Whole seconds that are left, never less than one while there is something to wait for. */
export function seconds(milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000));
}

/** The heading of a part of the transcript that began without the user asking for it. */
export function causeTitle(cause: AnewCause): string {
  return cause === "EPOCH_CHANGED" ? "The conversation started anew" : "You joined anew";
}

/** The explanation below that heading. */
export function causeDetail(cause: AnewCause): string {
  switch (cause) {
    case "EPOCH_CHANGED":
      return "The service began a new journal, and you joined it under your name. The messages above belong to the earlier conversation.";
    case "SESSION_UNKNOWN":
      return "Your session ended because you were away for too long. What you missed is marked as earlier.";
    case "SEQUENCE_OUT_OF_RANGE":
      return "The service no longer has some of the messages above.";
  }
}

/** A step of the clock in words: what happened, and on a second line the sum. */
export function arithmetic({ step, cause }: Explained): string {
  return `${reason(cause)}\n${step.rule === "send" ? step.before : `max(${step.before}, ${step.stamp})`} + 1 = ${step.after}`;
}

function reason(cause: ClockCause): string {
  switch (cause.of) {
    case "join":
      return "asked to join";
    case "welcome":
      return "was welcomed";
    case "leave":
      return "asked to leave";
    case "left":
      return "answer: left";
    case "publish":
      return `sent ${quoted(cause.text)}`;
    case "answer":
      return `answer to ${quoted(cause.text)}`;
    case "event":
      return `received ${titled(cause.event)}`;
  }
}

/** How many characters are left for a message. */
export function remaining(text: string, max: number): { readonly over: boolean; readonly near: boolean; readonly text: string } {
  const left = max - characters(text);
  if (left < 0) return { over: true, near: true, text: `${-left} too many` };
  return { over: false, near: left <= 20, text: `${left} left` };
}

/** The progress of one of the user's messages. Empty while there is nothing to worry about. */
export function progress(message: Outgoing, state: State, at: number): string {
  const { progress: how } = message;
  const online = state.phase.at === "online";
  switch (how.at) {
    case "queued": {
      if (how.failure === null) return online ? "" : "Not sent yet: will be sent once you are online";
      if (!online)
        return message.doubt ? "No answer yet: will be sent again once you are online" : "Not sent yet: will be sent once you are online";
      const wait = how.retryAt > at ? ` Trying again in ${seconds(how.retryAt - at)} s.` : " Trying again.";
      return inWords(how.failure) + wait;
    }
    case "sending":
      if (how.tries > 0) return "Sending again…";
      return online && at - how.since < ANSWER_WAIT_MS ? "" : "No answer yet";
    case "accepted":
      return online ? "" : "Accepted: shown once you are online";
    case "delivered":
      return "";
    case "refused":
      return `Refused. ${inWords(how.failure)}`;
    case "unconfirmed":
      return "Not confirmed: may or may not have been delivered";
    case "held":
      return "Unsent";
  }
}
