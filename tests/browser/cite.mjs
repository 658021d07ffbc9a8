// Writes the lines that a text quotes from the logs beside it: node cite.mjs FILE
//
// In the text a comment says which records, and which of their fields; below it stand the lines, made anew each time:
//
//   <!-- cite server.jsonl event=message_broadcast content~Hello | event sequence logical_time content -->
//   - [`server.jsonl:13`](example/server.jsonl#L13) `{"event":"message_broadcast",…}`
//
// `field=value` and `field~part` choose, a space being written as _; what is chosen has to exist.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = "example";
const CITE = /^<!-- cite (\S+) ([^|]*)\| ([^>]*) -->$/;

/** Text for a span of code, with a fence that is longer than any within. */
const code = (text) => (text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``);

function chosen(record, conditions) {
  return conditions.every((condition) => {
    const [, field, how, value] = /^(\w+)([=~])(.*)$/.exec(condition);
    const has = String(record[field] ?? "").replaceAll(" ", "_");
    return how === "=" ? has === value : has.includes(value);
  });
}

function lines(folder, [, file, conditions, fields]) {
  const records = readFileSync(join(folder, FOLDER, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const wanted = conditions.trim().split(/\s+/);
  const quoted = records.flatMap((record, index) => {
    if (!chosen(record, wanted)) return [];
    const part = Object.fromEntries(
      fields
        .split(/\s+/)
        .filter((field) => field in record)
        .map((field) => [field, record[field]]),
    );
    return `- [\`${file}:${index + 1}\`](${FOLDER}/${file}#L${index + 1}) ${code(JSON.stringify(part))}`;
  });
  if (quoted.length === 0) throw new Error(`${file} has no record with ${wanted.join(", ")}`);
  return quoted;
}

const path = process.argv[2];
const text = [];
let stale = false;
for (const line of readFileSync(path, "utf8").split("\n")) {
  const cite = CITE.exec(line);
  // What stands below such a comment is what it said before.
  if (cite) stale = true;
  else if (stale && line.startsWith("- [`")) continue;
  else stale = false;
  text.push(line);
  if (cite) text.push(...lines(dirname(path), cite));
}
writeFileSync(path, text.join("\n"));
