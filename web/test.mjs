// Runs the tests of the pure modules under Node's own runner. They are bundled first, because Node 20 does not
// run TypeScript.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;
const outdir = await mkdtemp(join(tmpdir(), "chitchat-page-"));
const tests = (await readdir(join(here, "test"), { recursive: true })).filter((path) => path.endsWith(".test.ts"));

await build({
  absWorkingDir: here,
  entryPoints: tests.map((path) => join("test", path)),
  outbase: "test",
  outdir,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  logLevel: "warning",
});
const built = tests.map((path) => join(outdir, path.replace(/\.ts$/, ".mjs")));
const { status } = spawnSync(process.execPath, ["--test", ...built], { stdio: "inherit" });
await rm(outdir, { recursive: true });
process.exit(status ?? 1);
