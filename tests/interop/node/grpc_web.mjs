// gRPC-Web without a library: its frames, and requests over HTTP/1.1 and HTTP/2.

import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";

const DATA = 0x00;
const TRAILERS = 0x80;

/** A message as a frame: a flag, the length as a big-endian 32-bit number, and the message. */
export function frame(message) {
  const head = Buffer.from([DATA, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The complete frames at the start of a body: { messages, trailers, rest }. */
export function parse(body) {
  const messages = [];
  let trailers;
  while (body.length >= 5 && body.length >= 5 + body.readUInt32BE(1)) {
    const [flag, end] = [body[0], 5 + body.readUInt32BE(1)];
    if (trailers) throw new Error("a frame after the trailers");
    if (flag === DATA) messages.push(body.subarray(5, end));
    else if (flag === TRAILERS) trailers = headerBlock(body.subarray(5, end).toString("latin1"));
    else throw new Error(`a frame with the flag ${flag}`);
    body = body.subarray(end);
  }
  return { messages, trailers, rest: body };
}

/** Trailers are lines of "name: value" with names in lower case, like headers of HTTP/1.1. */
function headerBlock(text) {
  const lines = text.split("\r\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line) => line.match(/^([a-z0-9-]+): ?(.*)$/).slice(1)));
}

/** The bytes of grpc-web-text: base64 that may be padded wherever the sender flushed. */
export function fromText(text) {
  const quantums = text.toString("latin1").match(/.{4}/gs) ?? [];
  return Buffer.concat(quantums.map((quantum) => Buffer.from(quantum, "base64")));
}

/** A POST over a new connection: the response's status, its headers, and its body as a stream. */
export const post = {
  "HTTP/1.1": async (test, address, path, headers, body) => {
    const request = http.request(`http://${address}${path}`, { method: "POST", headers, agent: false });
    test.after(() => request.destroy());
    request.end(body);
    const [answer] = await once(request, "response");
    return { status: answer.statusCode, headers: answer.headers, body: answer };
  },

  "HTTP/2": async (test, address, path, headers, body) => {
    const session = http2.connect(`http://${address}`);
    test.after(() => session.destroy());
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    stream.end(body);
    const [answer] = await once(stream, "response");
    return { status: answer[":status"], headers: answer, body: stream };
  },
};
