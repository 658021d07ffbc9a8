// connect-node against the real service: over gRPC, and over gRPC-Web with HTTP/1.1 and HTTP/2.

import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { ChitChatService } from "../../../target/interop/es/chitchat/v1/chitchat_pb.js";
import { ErrorInfoSchema } from "../../../target/interop/es/google/rpc/error_details_pb.js";
import { takesPart } from "./takes_part.mjs";

/** A wire over a transport of connect. */
function wire(transport) {
  const client = createClient(ChitChatService, transport);
  return {
    async *join(request, signal) {
      for await (const { frame } of client.join(request, { signal })) yield [frame.case, frame.value];
    },
    publish: (request) => client.publish(request),
    leave: (request) => client.leave(request),
  };
}

/** An HTTP/2 connection that ends with the test. */
function http2(test, baseUrl) {
  const sessionManager = new Http2SessionManager(baseUrl);
  test.after(() => sessionManager.abort());
  return { baseUrl, sessionManager };
}

function refusal(error) {
  const [info] = error.findDetails(ErrorInfoSchema);
  // What connect calls InvalidArgument is INVALID_ARGUMENT everywhere else.
  return { code: Code[error.code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase(), info };
}

takesPart("connect-node by gRPC", (test, address) => wire(createGrpcTransport(http2(test, `http://${address}`))), refusal);
takesPart(
  "connect-node by gRPC-Web over HTTP/1.1",
  (_test, address) => wire(createGrpcWebTransport({ baseUrl: `http://${address}`, httpVersion: "1.1" })),
  refusal,
);
takesPart(
  "connect-node by gRPC-Web over HTTP/2",
  (test, address) => wire(createGrpcWebTransport({ ...http2(test, `http://${address}`), httpVersion: "2" })),
  refusal,
);
