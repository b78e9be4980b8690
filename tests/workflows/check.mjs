// What GitHub's own language service has to say of workflows: node node_modules/check.mjs FILE...
// It is bundled first (npm run build), because its modules import each other in a way that Node does not follow.
import { readFileSync } from "node:fs";
import { registerLogger, validate } from "@actions/languageservice";
import { TextDocument } from "vscode-languageserver-textdocument";

registerLogger({ error() {}, warn() {}, info() {}, log() {} });

let found = 0;
for (const file of process.argv.slice(2)) {
  const document = TextDocument.create(`file://${file}`, "yaml", 1, readFileSync(file, "utf8"));
  for (const { message, range } of await validate(document, {})) {
    found += 1;
    console.log(`${file}:${range.start.line + 1}: ${message}`);
  }
}
process.exitCode = found === 0 ? 0 : 1;
