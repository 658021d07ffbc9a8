// Bundles the page into dist/, which is committed and embedded in the server. The result depends on the
// sources and on the locked packages only: built again anywhere, it is the same to the byte. index.html and
// icon.svg need no building and are embedded as they are.
import { build } from "esbuild";

await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: { app: "src/main.ts", style: "style.css" },
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox115", "safari16.4"],
  minify: true,
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
});
