// gRPC-Web on the wire, with only an HTTP client. A library is used only for the content of the frames.

import assert from "node:assert/strict";
import { test } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";

import * as pb from "../../../target/interop/es/chitchat/v1/chitchat_pb.js";
import { ErrorInfoSchema } from "../../../target/interop/es/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../../target/interop/es/google/rpc/status_pb.js";
import { frame, fromText, parse, post } from "./grpc_web.mjs";
import { DEADLINE_MS, serve } from "./service.mjs";

const PAGE = "https://page.example"; // The origin of a page that is allowed to use the service.
const BINARY = "application/grpc-web+proto";
const TEXT = "application/grpc-web-text+proto";
const TEXT_IN_BASE64 = { encode: (bytes) => Buffer.from(bytes.toString("base64")), decode: fromText };
const PLAIN = { encode: (bytes) => bytes, decode: (bytes) => bytes };

const message = (schema, fields) => toBinary(schema, create(schema, fields));
const join = (displayName) => message(pb.JoinRequestSchema, { displayName, logicalTime: 1n });
const publish = (sessionToken, text) => message(pb.PublishRequestSchema, { sessionToken, text, logicalTime: 7n });
const leave = (sessionToken) => message(pb.LeaveRequestSchema, { sessionToken, logicalTime: 9n });

/** Runs a check over both HTTP versions. `call` makes a request, and returns the response's headers and body. */
function checks(what, body) {
  for (const version of ["HTTP/1.1", "HTTP/2"]) {
    test(`gRPC-Web over ${version}: ${what}`, { timeout: 2 * DEADLINE_MS }, async (test) => {
      const address = await serve(test, "--allow-origin", PAGE);
      const call = async (method, bytes, { type = BINARY, headers = {} } = {}) => {
        const path = method.includes("/") ? method : `/chitchat.v1.ChitChatService/${method}`;
        const coding = type.includes("-text") ? TEXT_IN_BASE64 : PLAIN;
        // content-type is the format of the request, and accept that of the response.
        const accept = type.split(";")[0];
        const all = { "content-type": type, accept, "x-grpc-web": "1", ...headers };
        const answer = await post[version](test, address, path, all, coding.encode(frame(bytes)));
        assert.equal(answer.status, 200);
        return { headers: answer.headers, read: reader(answer.body, coding) };
      };
      await body(call);
    });
  }
}

/** Reads until there are `count` messages, or to the end: { messages, trailers, ended }. */
function reader(body, coding) {
  const chunks = body[Symbol.asyncIterator]();
  let received = Buffer.alloc(0);
  let ended = false;
  return async (count = Infinity) => {
    for (;;) {
      const { messages, trailers, rest } = parse(coding.decode(received));
      if (ended) assert.equal(rest.length, 0, "half a frame at the end");
      if (ended || messages.length >= count) return { messages, trailers, ended };
      const { done, value } = await chunks.next();
      if (done) ended = true;
      else received = Buffer.concat([received, value]);
    }
  };
}

/** Joins and reads what is sent at once: the Welcome, the participant's own Joined, CaughtUp. */
async function opened(call, options) {
  const stream = await call("Join", join("åse"), options);
  const { messages, trailers, ended } = await stream.read(3);
  // The first frames arrive while the stream is still open.
  assert.deepEqual([messages.length, trailers, ended], [3, undefined, false]);
  const frames = messages.map((bytes) => fromBinary(pb.JoinResponseSchema, bytes).frame);
  assert.deepEqual(
    frames.map((frame) => frame.case),
    ["welcome", "event", "caughtUp"],
  );
  assert.equal(frames[1].value.content, "Participant åse joined Chit Chat at logical time 3");
  return { ...stream, token: frames[0].value.sessionToken };
}

/** The status of a response without messages, from its headers or its trailers. */
async function statusOf({ headers, read }) {
  const { messages, trailers } = await read();
  assert.equal(messages.length, 0);
  const status = trailers ?? headers;
  return {
    headers,
    code: Number(status["grpc-status"]),
    rawMessage: status["grpc-message"],
    details: fromBinary(StatusSchema, Buffer.from(status["grpc-status-details-bin"] ?? "", "base64")),
  };
}

/** The google.rpc.ErrorInfo among the details of a status. */
function errorInfo({ details }) {
  return details.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find(Boolean);
}

for (const [name, type] of [
  ["binary", BINARY],
  ["text", TEXT],
]) {
  checks(`${name}: takes part, and gets the first frames before the stream ends`, async (call) => {
    const stream = await opened(call, { type });
    assert.equal(stream.headers["content-type"], type);

    const reply = await call("Publish", publish(stream.token, "æ😀漢"), { type });
    assert.equal(reply.headers["content-type"], type);
    const published = await reply.read();
    // One message, then the trailers, and nothing after them.
    assert.deepEqual([published.messages.length, published.trailers["grpc-status"]], [1, "0"]);
    const { sequence, logicalTime } = fromBinary(pb.PublishResponseSchema, published.messages[0]);
    assert.deepEqual([sequence, logicalTime], [2n, 9n]);
    const { value: event } = fromBinary(pb.JoinResponseSchema, (await stream.read(4)).messages[3]).frame;
    assert.deepEqual([event.content, event.sequence, event.logicalTime], ["æ😀漢", sequence, logicalTime]);

    await (await call("Leave", leave(stream.token), { type })).read();
    const { messages, trailers, ended } = await stream.read();
    assert.deepEqual([messages.length, trailers["grpc-status"], ended], [4, "0", true]);
  });

  checks(`${name}: a refusal can be read by a page of an allowed origin`, async (call) => {
    const headers = { origin: PAGE };
    const refusal = await statusOf(await call("Publish", publish("made up", "hello"), { type, headers }));
    assert.equal(refusal.code, 16);
    assert.doesNotMatch(refusal.rawMessage, /[^\x20-\x7e]/);
    assert.equal(decodeURIComponent(refusal.rawMessage), "no active participant has this session");
    assert.deepEqual([refusal.details.code, refusal.details.message], [16, "no active participant has this session"]);
    const { domain, reason } = errorInfo(refusal);
    assert.deepEqual([domain, reason], ["chitchat", "SESSION_UNKNOWN"]);

    assert.equal(refusal.headers["content-type"], type);
    assert.equal(refusal.headers["access-control-allow-origin"], PAGE);
    const exposed = refusal.headers["access-control-expose-headers"].toLowerCase().split(/, */);
    for (const header of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
      assert.ok(exposed.includes(header), header);
    }
  });
}

for (const family of ["application/grpc-web", "application/grpc-web-text"]) {
  checks(`${family} is accepted without the message's format, and with parameters`, async (call) => {
    for (const type of [family, `${family}; charset=utf-8`, `${family}+proto; charset=utf-8`]) {
      const answer = await call("Publish", publish("made up", "hello"), { type });
      assert.ok([family, `${family}+proto`].includes(answer.headers["content-type"]), type);
      assert.equal((await statusOf(answer)).code, 16, type);
    }
  });
}

checks("a message of an error is percent-encoded UTF-8", async (call) => {
  // Only reflection repeats the request in its error, when asked for the file with a symbol.
  const symbol = Buffer.from("æ😀 100 %");
  const request = Buffer.concat([Buffer.from([(4 << 3) | 2, symbol.length]), symbol]);
  const refusal = await statusOf(await call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", request));
  assert.equal(refusal.code, 5);
  assert.match(refusal.rawMessage, /^[\x20-\x7e]+$/);
  assert.match(refusal.rawMessage, /%C3%A6%F0%9F%98%80/);
  assert.ok(decodeURIComponent(refusal.rawMessage).includes("æ😀 100 %"), refusal.rawMessage);
});

checks("invalid bytes are refused as malformed", async (call) => {
  const refusal = await statusOf(await call("Publish", Buffer.from([0xff, 0xff, 0xff])));
  assert.deepEqual([refusal.code, errorInfo(refusal).reason], [3, "MALFORMED"]);
});

checks("an unknown method is unimplemented", async (call) => {
  assert.equal((await statusOf(await call("Shout", Buffer.alloc(0)))).code, 12);
  assert.equal((await statusOf(await call("/no.such.Service/Method", Buffer.alloc(0)))).code, 12);
});
