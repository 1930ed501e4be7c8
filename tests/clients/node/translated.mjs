// The stock Node.js client before upstreams that speak another dialect than its own: what it shows of each answer.
//
// The upstream answers from a file, the same things in every dialect.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import OpenAI from "openai";

import { BASE_URL, KEY, mock, run, seenCount, seenFrom, test } from "./cases.mjs";

const ANSWERS = JSON.parse(readFileSync(process.env.CARNET_FILE, "utf8"));
const TEXT = "Grüße ☂ von oben.";
const CALLS = [
  ["call_a1", "weather", { city: "Köln", days: 2 }],
  ["call_b2", "clock", { zone: "CET" }],
];
const BUSY = /Too many requests, slow down\./;
const BROKEN = /The model broke down in its middle\./;
const parameters = { type: "object", properties: { city: { type: "string" } } };
const names = ["weather", "clock"];

const client = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0 });

// The client shows this as an event, not as an exception.
class Failed extends Error {}

const chat = {
  name: "openai, chat",
  dialects: ["converse", "generate-content", "messages", "responses"],
  finish: { text: "stop", tools: "tool_calls" },
  broken: OpenAI.APIError,
  tools: names.map((name) => ({ type: "function", function: { name, parameters } })),

  ask(model, tools, more) {
    return client.chat.completions.create({ model, messages: [{ role: "user", content: "x" }], tools, ...more });
  },

  async whole(model, tools, shown) {
    const { choices, usage } = await this.ask(model, tools);
    const [{ message, finish_reason }] = choices;
    Object.assign(shown, { text: message.content ?? "", finish: finish_reason });
    shown.usage = [usage.prompt_tokens, usage.completion_tokens];
    shown.calls = (message.tool_calls ?? []).map(({ id, function: f }) => [id, f.name, JSON.parse(f.arguments)]);
  },

  async streamed(model, tools, shown) {
    const calls = [];
    for await (const { choices, usage } of await this.ask(model, tools, { stream: true, stream_options: { include_usage: true } })) {
      if (usage) shown.usage = [usage.prompt_tokens, usage.completion_tokens];
      for (const { delta, finish_reason } of choices) {
        shown.text += delta.content ?? "";
        shown.finish = finish_reason ?? shown.finish;
        for (const { index, id, function: f } of delta.tool_calls ?? []) {
          const call = (calls[index] ??= ["", "", ""]);
          [id, f?.name, f?.arguments].forEach((piece, place) => (call[place] += piece ?? ""));
        }
      }
    }
    shown.calls = calls.map(([id, name, text]) => [id, name, JSON.parse(text)]);
  },
};

const responses = {
  name: "openai, responses",
  dialects: ["chat-completions", "converse", "generate-content", "messages"],
  finish: { text: "completed", tools: "completed" },
  broken: Failed,
  tools: names.map((name) => ({ type: "function", name, parameters, strict: false })),

  ask(model, tools, more) {
    return client.responses.create({ model, input: "x", tools, ...more });
  },

  take({ output, status, usage }, shown) {
    shown.finish = status;
    shown.usage = [usage.input_tokens, usage.output_tokens];
    const calls = output.filter(({ type }) => type === "function_call");
    shown.calls = calls.map(({ call_id, name, arguments: text }) => [call_id, name, JSON.parse(text)]);
  },

  async whole(model, tools, shown) {
    const response = await this.ask(model, tools);
    shown.text = response.output_text;
    this.take(response, shown);
  },

  async streamed(model, tools, shown) {
    for await (const event of await this.ask(model, tools, { stream: true })) {
      if (event.type === "response.output_text.delta") shown.text += event.delta;
      if (event.type === "response.failed") throw new Failed(event.response.error.message);
      if (event.type === "response.completed") this.take(event.response, shown);
    }
  },
};

// The error of this kind that asking must end in.
async function fails(kind, asking) {
  try {
    await asking;
  } catch (error) {
    assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

async function check(of, dialect, kind) {
  const model = `by-${dialect}`;
  const before = await seenCount();
  await mock("answer", [ANSWERS[dialect][kind]]);
  const shown = { text: "", calls: [] };
  if (kind === "busy") {
    const error = await fails(OpenAI.RateLimitError, of.whole(model, undefined, shown));
    assert.equal(error.status, 429);
    assert.equal(error.headers.get("retry-after"), "7");
    assert.match(error.message, BUSY);
  } else if (kind === "broken_stream") {
    assert.match((await fails(of.broken, of.streamed(model, undefined, shown))).message, BROKEN);
    assert.equal(shown.text, "Grüße ");
  } else {
    const calls = { tool: CALLS.slice(0, 1), tools_stream: CALLS }[kind] ?? [];
    const tools = calls.length ? of.tools : undefined;
    await (kind.endsWith("_stream") ? of.streamed(model, tools, shown) : of.whole(model, tools, shown));
    assert.equal(shown.text, calls.length ? "" : TEXT);
    assert.equal(shown.finish, of.finish[calls.length ? "tools" : "text"]);
    assert.deepEqual(shown.usage, [11, 7]);
    // An upstream without ids gets some that are made up: each call has its own.
    const ids = dialect === "generate-content" ? shown.calls.map(([id]) => id) : calls.map(([id]) => id);
    assert.equal(new Set(ids.filter(Boolean)).size, calls.length);
    assert.deepEqual(shown.calls, calls.map(([, ...call], index) => [ids[index], ...call]));
  }
  assert.equal((await seenFrom(before)).length, 1);
}

for (const of of [chat, responses]) {
  for (const dialect of of.dialects) {
    for (const kind of Object.keys(ANSWERS[dialect])) {
      test(`${of.name} to ${dialect}: ${kind}`, () => check(of, dialect, kind));
    }
  }
}

await run();
await mock("answer", []);
