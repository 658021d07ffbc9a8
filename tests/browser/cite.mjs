// Updates the lines that a text quotes from the logs beside it: node cite.mjs FILE
//
// In the text a comment says which records, and which of their fields. The lines below it are written anew each time:
//
//   <!-- cite server.jsonl event=message_broadcast content~Hello | event sequence logical_time content -->
//   - [`server.jsonl:13`](example/server.jsonl#L13) `{"event":"message_broadcast",…}`
//
// `field=value` and `field~part` select records, with _ for a space; at least one record must match.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = "example";
const CITE = /^<!-- cite (\S+) ([^|]*)\| ([^>]*) -->$/;

/** A Markdown code span, with a fence that is longer than any backticks within. */
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
  // The lines below such a comment are those of the last time.
  if (cite) stale = true;
  else if (stale && line.startsWith("- [`")) continue;
  else stale = false;
  text.push(line);
  if (cite) text.push(...lines(dirname(path), cite));
}
writeFileSync(path, text.join("\n"));
