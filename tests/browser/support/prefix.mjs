// A proxy that puts services under prefixes of one origin, as `location /one/ { proxy_pass http://...:50051/; }` does.
import http from "node:http";

/** Starts it: `{ one: server }` puts a server under `/one/`. */
export async function prefixes(servers) {
  const proxy = http.createServer((request, response) => {
    const [, prefix, path] = /^\/([^/]*)(\/.*)$/.exec(request.url) ?? [];
    const server = servers[prefix];
    if (server === undefined) return void response.writeHead(404).end();
    const { method, headers } = request;
    const forwarded = http.request({ host: "127.0.0.1", port: server.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    response.on("close", () => forwarded.destroy());
    request.pipe(forwarded);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const close = () => {
    proxy.closeAllConnections();
    proxy.close();
  };
  return { url: `http://127.0.0.1:${proxy.address().port}`, close };
}
