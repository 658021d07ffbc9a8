// @grpc/grpc-js against the real service; its types are generated from the proto file at run time.

import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

import { ROOT } from "./service.mjs";
import { takesPart } from "./takes_part.mjs";

const GOOGLEAPIS = `${ROOT}target/interop/venv/lib/python3.11/site-packages`; // For google/rpc/*.proto.
const types = loadSync(["chitchat/v1/chitchat.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"], {
  includeDirs: [`${ROOT}proto`, GOOGLEAPIS],
  longs: String, // JavaScript numbers cannot hold 64 bits.
  defaults: true,
  oneofs: true,
});
const { ChitChatService } = grpc.loadPackageDefinition(types).chitchat.v1;

function connect(test, address) {
  const client = new ChitChatService(address, grpc.credentials.createInsecure());
  test.after(() => client.close());
  const unary = (method) => (request) =>
    new Promise((resolve, reject) => client[method](request, (error, reply) => (error ? reject(error) : resolve(reply))));
  return {
    async *join(request, signal) {
      const stream = client.join(request);
      stream.on("error", () => {}); // A reader of the stream gets the error too, and an aborted stream has no reader.
      signal.addEventListener("abort", () => stream.cancel());
      for await (const frame of stream) yield [frame.frame, frame[frame.frame]];
    },
    publish: unary("publish"),
    leave: unary("leave"),
  };
}

function refusal({ code, metadata }) {
  const [bytes] = metadata.get("grpc-status-details-bin");
  const { details } = types["google.rpc.Status"].deserialize(bytes);
  const info = details.find((detail) => detail.type_url === "type.googleapis.com/google.rpc.ErrorInfo");
  return { code: grpc.status[code], info: types["google.rpc.ErrorInfo"].deserialize(info.value) };
}

takesPart("grpc-js", connect, refusal);
