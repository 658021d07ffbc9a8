// Bundles the page into dist/, which is committed and embedded in the server. The result depends on the
// sources and on the locked packages only: built again anywhere, it is the same to the byte. index.html and
// icon.svg need no building and are embedded as they are.
import { build } from "esbuild";

const options = {
  absWorkingDir: import.meta.dirname,
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};
// Bundles rather than one that is split: the first has one name and one request, and nothing in it is for replays or diagrams.
await build({ ...options, entryPoints: { app: "src/main.ts", style: "style.css" }, external: ["./replay.js", "./diagram.js", "./lab.js"] });
await build({ ...options, entryPoints: { diagram: "src/diagram.ts", "diagram-style": "diagram.css" } });
await build({ ...options, entryPoints: { lab: "src/lab.ts", "lab-style": "lab.css" } });
await build({ ...options, entryPoints: { replay: "src/replay.ts", "replay-style": "replay.css" } });
