// What Node's reader finds in the bodies that the gateway let through.

import { readFileSync } from "node:fs";

import { report } from "./cases.mjs";

function look(body) {
  const read = JSON.parse(body);
  if (read.model !== "mock-chat") return `the model is ${JSON.stringify(read.model)}`;
  // Merged into another object, as applications do, it must not change what that is.
  if ({ ...read }.model !== "mock-chat" || Object.assign({}, read).model !== "mock-chat") return "the model changes when merged";
  for (const key of Object.keys(read)) {
    if (key !== "model" && ["model", "models", "provider", "fallbacks"].includes(key.toLowerCase())) return `${key} went through`;
  }
  for (const tool of read.tools ?? []) {
    if (Object.keys(tool).some((key) => key.toLowerCase() === "server_url")) return "a tool server went through";
  }
}

for (const body of JSON.parse(readFileSync(process.env.CARNET_FILE, "utf-8"))) {
  let why;
  try {
    why = look(body);
  } catch (error) {
    why = `not JSON to Node: ${error.message}`;
  }
  report("as Node reads it", why && `${why}: ${body}`);
}
