/** The calls of the contract over gRPC-Web, in the page's own types. */

import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import type { LogicalTime } from "../core/clock.js";
import type { ChatEvent, Frame } from "../core/event.js";
import type { Session } from "../core/machine/state.js";
import { ChitChatService, LeaveRequestSchema } from "../gen/chitchat/v1/chitchat_pb.js";
import { fromHex, toEvent, toFrame } from "./convert.js";

/** How long a call other than the stream may take, in milliseconds. */
const CALL_WAIT_MS = 10_000;

/** The answer to Publish and Leave: the event's place in the order, and its time. */
export interface Stamped {
  /** The event's sequence. */
  readonly sequence: bigint;
  /** The event's logical time. */
  readonly logicalTime: LogicalTime;
}

/** The service, as seen from the page. Every call throws what `toFailure` understands. */
export class ChatClient {
  readonly #client: Client<typeof ChitChatService>;
  readonly #baseUrl: string;

  /** A client for the service at `baseUrl`. */
  constructor(baseUrl: string) {
    this.#baseUrl = baseUrl;
    this.#client = createClient(ChitChatService, createGrpcWebTransport({ baseUrl, fetch: fetchOutlivingThePage }));
  }

  /** Opens the stream and hands over each frame, until it ends. */
  async join(
    request: { name: string; time: LogicalTime; session: Session | null; after: bigint; chainHash: string; secret: string },
    signal: AbortSignal,
    onFrame: (frame: Frame) => void,
  ): Promise<void> {
    const { name, time, session, after, secret } = request;
    const position = { afterSequence: after, chainHash: fromHex(request.chainHash) };
    const resume = session === null ? {} : { resume: { sessionToken: session.token, epoch: session.epoch, ...position } };
    const options = { headers: authorization(secret), signal };
    for await (const response of this.#client.join({ displayName: name, logicalTime: time, ...resume }, options)) {
      onFrame(toFrame(response));
    }
  }

  /** Publishes a message. */
  publish(
    message: { id: string; text: string; time: LogicalTime; seen: bigint; session: Session },
    sentAt: number,
    secret: string,
  ): Promise<Stamped> {
    const { id, text, time, seen, session } = message;
    const wallClock = { sentAt: timestampFromMs(sentAt) };
    const request = { sessionToken: session.token, text, logicalTime: time, messageId: id, seenSequence: seen, ...wallClock };
    return this.#client.publish(request, callOptions(secret));
  }

  /** Leaves. */
  leave(session: Session, time: LogicalTime, secret: string): Promise<Stamped> {
    return this.#client.leave({ sessionToken: session.token, logicalTime: time }, callOptions(secret));
  }

  /**
   * Leaves while the page is being torn down, when nothing asynchronous runs anymore: one request,
   * framed by hand, which the browser delivers after the page is gone. Nothing is left to read the answer.
   */
  leaveInPassing(session: Session, time: LogicalTime, secret: string): void {
    const message = toBinary(LeaveRequestSchema, create(LeaveRequestSchema, { sessionToken: session.token, logicalTime: time }));
    const body = new Uint8Array(5 + message.length);
    new DataView(body.buffer).setUint32(1, message.length);
    body.set(message, 5);
    const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", ...authorization(secret) };
    const url = `${this.#baseUrl}/${ChitChatService.typeName}/${ChitChatService.method.leave.name}`;
    void fetch(url, { method: "POST", headers, body, keepalive: true }).catch(() => undefined);
  }

  /** Lists `count` events after a sequence. */
  async list(session: Session, after: bigint, count: number, secret: string): Promise<ChatEvent[]> {
    const request = { sessionToken: session.token, afterSequence: after, pageSize: count };
    const response = await this.#client.listEvents(request, callOptions(secret));
    return response.events.map(toEvent);
  }
}

function authorization(secret: string): Record<string, string> {
  return secret === "" ? {} : { authorization: `Bearer ${secret}` };
}

function callOptions(secret: string) {
  return { headers: authorization(secret), timeoutMs: CALL_WAIT_MS };
}

/** A leave must arrive even when the tab is closed a moment after the button was pressed. */
function fetchOutlivingThePage(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const url = input instanceof Request ? input.url : input.toString();
  return fetch(input, { ...init, keepalive: url.endsWith(`/${ChitChatService.method.leave.name}`) });
}
