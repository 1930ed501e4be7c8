// Checks that JSON.parse sees in every accepted body what the scan decided on.
//
// Usage: node differential.mjs FILE, with FILE from `cargo run --example hostile_bodies SEED COUNT FILE`.
// Prints `N passed, N failed`; exit code 1 on any difference, 2 when there is nothing to check.

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

const WATCHED = ["model", "models", "provider", "tools", "stream", "background"];

// Strict about UTF-8 and about a byte order mark: both would otherwise be mended before JSON.parse sees them.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const parse = (base64) => JSON.parse(decoder.decode(Buffer.from(base64, "base64")));
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function valuesAt(document, path) {
  let places = [document];
  for (const segment of path.split(".")) {
    const key = segment.replace(/\[\]$/, "");
    places = places.filter((place) => isObject(place) && Object.hasOwn(place, key)).map((place) => place[key]);
    if (key !== segment) {
      places = places.filter(Array.isArray).flat();
    }
  }
  return places;
}

// Keys that a reader without regard to letter case, or with C strings, takes for a watched one.
function lookAlikes(document) {
  const folded = (key) => key.split("\0")[0].toUpperCase().toLowerCase();
  return Object.keys(document).filter((key) => !WATCHED.includes(key) && WATCHED.includes(folded(key)));
}

function differences(line) {
  let document;
  try {
    document = parse(line.body);
  } catch (error) {
    return [`accepted by the scan, refused here: ${error.message}`];
  }
  if (!isObject(document)) {
    return ["not an object"];
  }
  const found = lookAlikes(document).map((key) => `key ${JSON.stringify(key)} passed`);
  const model = Object.hasOwn(document, "model") ? document.model : null;
  if (model !== line.model) {
    found.push(`model ${JSON.stringify(line.model)} by the scan, ${JSON.stringify(model)} here`);
  }
  for (const [path, texts] of Object.entries(line.seen)) {
    const ours = texts.map(parse);
    const theirs = valuesAt(document, path);
    if (!isDeepStrictEqual(ours, theirs)) {
      found.push(`${path} is ${JSON.stringify(ours)} by the scan, ${JSON.stringify(theirs)} here`);
    }
  }
  return found;
}

if (process.argv.length !== 3) {
  console.error("usage: node differential.mjs FILE");
  process.exit(2);
}

let passed = 0;
let failed = 0;
const lines = readFileSync(process.argv[2], "utf8").split("\n").filter((line) => line !== "");
for (const [index, line] of lines.map((line) => JSON.parse(line)).entries()) {
  const found = line.verdict === "accept" ? differences(line) : [];
  for (const difference of found) {
    console.error(`line ${index + 1} (${line.trick}): ${difference}`);
  }
  if (found.length > 0) {
    failed += 1;
  } else {
    passed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = lines.length === 0 ? 2 : failed > 0 ? 1 : 0;
