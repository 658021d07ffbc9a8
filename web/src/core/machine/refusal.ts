/** How a call can fail, and the words for it. */

import { ErrorReason } from "../../gen/chitchat/v1/chitchat_pb.js";

/** A reason of the contract. It arrives in a google.rpc.ErrorInfo of the domain "chitchat". */
export type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** Every reason of the contract, in its order. */
export const REASONS: readonly Reason[] = Object.keys(ErrorReason).filter(isReason);

/** A generated enum maps its names to numbers, and its numbers to names, too. */
function isReason(key: string): key is Reason {
  return Number.isNaN(Number(key)) && key !== "UNSPECIFIED";
}

/** A call that did not succeed. */
export interface Failure {
  /** The reason, or null if the failure is not the service's own: a lost connection, a proxy. */
  readonly reason: Reason | null;
  /** Whether the connection, rather than an answer, is what went wrong: the outcome is unknown. */
  readonly network: boolean;
  /** The status message, or what the browser said. */
  readonly message: string;
  /** The figures that came with the reason. */
  readonly figures: Readonly<Record<string, string>>;
  /** The minimum time to wait before trying again, in milliseconds; null if the service gave none. */
  readonly retryAfterMs: number | null;
}

/** A failure because the service broke the contract. */
export function broken(message: string): Failure {
  return { reason: null, network: false, message, figures: {}, retryAfterMs: null };
}

/** The name of a failure in the log. */
export function logReason(failure: Failure): string {
  return failure.reason ?? (failure.network ? "CONNECTION_LOST" : failure.message);
}

/** Says in plain words why something was refused. The caller adds the wait, which it counts down. */
export function inWords(failure: Failure): string {
  switch (failure.reason) {
    case "TEXT_EMPTY":
      return "An empty message cannot be sent.";
    case "TEXT_TOO_LONG":
      return `This message is too long${count(failure, "characters", (n, max) => `: it has ${n} characters, and at most ${max} are accepted`)}.`;
    case "NAME_INVALID":
      return `This name cannot be used${because(failure.message)}`;
    case "MESSAGE_ID_TOO_LONG":
    case "MALFORMED":
      return "The service could not read what this page sent. Reloading the page may help.";
    case "NAME_TAKEN":
      return "Somebody here already has this name, or one that looks the same. Please choose another.";
    case "SESSION_UNKNOWN":
      return "You are no longer part of the conversation.";
    case "SECRET_REQUIRED":
      return "This conversation requires an access secret.";
    case "HOST_NOT_ALLOWED":
      return "The service does not answer to this page’s host name. Its operator can allow it with --allow-host.";
    case "ORIGIN_NOT_ALLOWED":
      return "The service does not accept pages from this address. Its operator can allow it with --allow-origin.";
    case "EPOCH_CHANGED":
      return "The conversation has started anew.";
    case "CLOCK_OUT_OF_RANGE":
      return "This page’s clock is too far ahead of the service’s. A new tab starts with a new clock.";
    case "SEQUENCE_OUT_OF_RANGE":
      return "This page has seen more of the conversation than the service remembers.";
    case "RATE_LIMITED":
      return "Too many requests at once.";
    case "CONVERSATION_FULL":
      return full(failure);
    case "SLOW_CONSUMER":
      return "This page was too slow to receive what was sent to it.";
    case "REPLACED":
      return "Another tab or window has taken over this session.";
    case "SHUTTING_DOWN":
      return "The service is shutting down.";
    case "JOURNAL_UNAVAILABLE":
      return "The service cannot store anything at the moment.";
    case "LAB_DISCONNECTED":
      return "The teacher’s lab broke the connection.";
    case "LAB_KEY_REQUIRED":
      return "The lab requires its key.";
    case "NAME_UNKNOWN":
      return "Nobody here has that name.";
    case "FAULT_INVALID":
      return `The lab cannot do this${because(failure.message)}`;
    case "COMPANIONS_FULL":
      return `The lab already has as many companions as it can play${count(failure, "companions", (_, max) => `: ${max}`)}.`;
    case "COMPANION_FAILED":
      return `The lab has failed${because(failure.message)}`;
    case "SCENARIO_UNKNOWN":
      return "The lab has no scenario of that name.";
    case null:
      return failure.network
        ? "The service cannot be reached."
        : `This page does not understand the service’s answer${because(failure.message)}`;
  }
}

/** The conversation is full, or one address has as many places as it may have. */
function full(failure: Failure): string {
  const share = count(failure, "participants_per_address", (_, max) => `All places for your address are taken: at most ${max} at a time.`);
  return share || `The conversation is full${count(failure, "participants", (_, max) => `: at most ${max} can take part at a time`)}.`;
}

/** Words with a limit, if the service stated it; empty otherwise. */
function count({ figures }: Failure, what: string, say: (actual: string, max: string) => string): string {
  const max = figures[`${what}_max`];
  return max === undefined ? "" : say(figures[what] ?? "more", max);
}

function because(message: string): string {
  const text = message.trim().replace(/\.$/, "");
  return text === "" ? "." : `: ${text}.`;
}
