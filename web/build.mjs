// Bundles the page into dist/, which is committed and embedded in the server. The result depends on the
// sources and on the locked packages only: a build anywhere gives the same bytes. index.html and icon.svg need
// no building and are embedded unchanged.
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
// Separate bundles, not one that is split: the first has a fixed name, takes one request, and has no code for replays or diagrams.
await build({ ...options, entryPoints: { app: "src/main.ts", style: "style.css" }, external: ["./replay.js", "./diagram.js", "./lab.js"] });
await build({ ...options, entryPoints: { diagram: "src/diagram.ts", "diagram-style": "diagram.css" } });
await build({ ...options, entryPoints: { lab: "src/lab.ts", "lab-style": "lab.css" } });
await build({ ...options, entryPoints: { replay: "src/replay.ts", "replay-style": "replay.css" } });
