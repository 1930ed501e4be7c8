// The stock Node.js client against the gateway: as an application would use it, and as it goes wrong.

import assert from "node:assert/strict";

import OpenAI from "openai";

import { BASE_URL, KEY, closedWithinASecond, expectRecords, run, seenCount, seenFrom, test, words } from "./cases.mjs";

const client = (options = {}) => new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0, ...options });

const ask = (prompt, { model = "mock-chat", of = client(), request, ...options } = {}) =>
  of.chat.completions.create({ model, messages: [{ role: "user", content: prompt }], ...options }, request);

// The exception of this kind that a request must end in.
async function refused(kind, prompt, options) {
  try {
    await ask(prompt, options);
  } catch (error) {
    assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

test("plain answer", async () => {
  const answer = await ask("chunks=3");
  assert.equal(answer.choices[0].message.content, words(3));
  assert.equal(answer.usage.total_tokens, 6);
});

test("the upstream gets its own key and not the caller's", async () => {
  const before = await seenCount();
  await ask("hello", { x_unknown: { kept: [1] } });
  const [seen] = await seenFrom(before);
  assert.deepEqual(JSON.parse(seen.body).x_unknown, { kept: [1] });
  assert.equal(seen.headers.authorization, "Bearer upstream-key");
  assert.ok(!JSON.stringify(seen).includes(KEY), "the caller's key went upstream");
});

test("the list has what may be used, and not what may not", async () => {
  const ids = [];
  for await (const model of client().models.list()) ids.push(model.id);
  assert.ok(ids.includes("mock-chat") && !ids.includes("closed-node"), ids.join(" "));
});

test("streamed answer", async () => {
  let text = "";
  let usage;
  for await (const chunk of await ask("chunks=4 gap_ms=5", { stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, words(4));
  assert.equal(usage.completion_tokens, 4);
});

test("many requests at once, each with its own answer", async () => {
  const of = client();
  const one = async (count) => {
    if (count % 2) return (await ask(`chunks=${count}`, { of })).choices[0].message.content;
    let text = "";
    for await (const chunk of await ask(`chunks=${count} gap_ms=3`, { of, stream: true })) {
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    return text;
  };
  const counts = Array.from({ length: 40 }, (_, index) => index + 1);
  assert.deepEqual(await Promise.all(counts.map(one)), counts.map(words));
});

test("a stream that is aborted in its middle is closed upstream within a second", async () => {
  const before = await seenCount();
  const stream = await ask("chunks=100 gap_ms=100", { stream: true });
  let since;
  let count = 0;
  for await (const _ of stream) {
    if (++count === 3) {
      since = Date.now();
      stream.controller.abort();
      break;
    }
  }
  const seen = await closedWithinASecond(before, since);
  assert.ok(seen.sent < 20, `${seen.sent} pieces were sent`);
});

test("a request that is aborted before its first byte is noticed upstream within a second", async () => {
  const before = await seenCount();
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 300);
  await refused(OpenAI.APIUserAbortError, "first_ms=20000", { request: { signal: abort.signal } });
  await closedWithinASecond(before, Date.now());
});

test("a denial is PermissionDeniedError with our message, and is not tried again", async () => {
  const before = await seenCount();
  const error = await refused(OpenAI.PermissionDeniedError, "hello", { model: "closed-node", of: client({ maxRetries: 3 }) });
  assert.equal(error.status, 403);
  assert.equal(error.code, "policy_denied");
  assert.match(error.message, /The upstream named closed is off limits/);
  assert.equal(error.headers.get("x-should-retry"), "false");
  assert.equal(await seenCount(), before);
  expectRecords("closed-node", 2);
});

test("a denied stream never begins", async () => {
  const before = await seenCount();
  await refused(OpenAI.PermissionDeniedError, "hello", { model: "closed-node", stream: true, of: client({ maxRetries: 3 }) });
  assert.equal(await seenCount(), before);
});

test("a wrong key is AuthenticationError", async () => {
  for (const apiKey of [KEY.slice(0, -1) + (KEY.endsWith("a") ? "b" : "a"), "sk-foreign-0123456789"]) {
    const error = await refused(OpenAI.AuthenticationError, "hello", { of: client({ apiKey, maxRetries: 3 }) });
    assert.equal(error.code, "invalid_api_key");
  }
});

test("a model that is not configured is NotFoundError", async () => {
  const error = await refused(OpenAI.NotFoundError, "hello", { model: "no-such-model" });
  assert.equal(error.code, "model_not_found");
});

test("an upstream that is down is a clear 502, one record for each try of the client", async () => {
  const error = await refused(OpenAI.InternalServerError, "hello", { model: "down-node", of: client({ maxRetries: 2 }) });
  assert.equal(error.status, 502);
  assert.equal(error.code, "upstream_unreachable");
  expectRecords("down-node", 3);
});

test("the upstream's own errors keep their status, message and retry-after", async () => {
  for (const [status, kind] of [[429, OpenAI.RateLimitError], [500, OpenAI.InternalServerError], [503, OpenAI.InternalServerError]]) {
    const error = await refused(kind, `status=${status} retry_after=7`);
    assert.equal(error.status, status);
    assert.match(error.message, new RegExp(`told to answer ${status}`));
    assert.equal(error.headers.get("retry-after"), "7");
  }
});

test("a try again is the client's own, with a record each", async () => {
  const before = await seenCount();
  await refused(OpenAI.RateLimitError, "status=429 retry_after=0.01", { model: "retried-node", of: client({ maxRetries: 2 }) });
  assert.equal((await seenCount()) - before, 3);
  expectRecords("retried-node", 3);
});

test("a stream that the upstream cuts off ends in an error, not in a shorter answer", async () => {
  let count = 0;
  await assert.rejects(async () => {
    for await (const _ of await ask("chunks=5 cut_after=2", { stream: true })) count += 1;
  });
  assert.equal(count, 2);
});

test("the model that comes along gives its reasoning apart from its answer", async () => {
  const answer = await ask("What is 47 + 85?", { model: "carnet-sums" });
  assert.equal(answer.choices[0].message.content, "47 + 85 = 132.");
  assert.match(answer.choices[0].message.reasoning_content, /7 \+ 5 = 12/);
  let content = "";
  let reasoning = "";
  for await (const chunk of await ask("What is 47 + 85?", { model: "carnet-sums", stream: true })) {
    content += chunk.choices[0]?.delta?.content ?? "";
    reasoning += chunk.choices[0]?.delta?.reasoning_content ?? "";
  }
  assert.equal(content, "47 + 85 = 132.");
  assert.equal(reasoning, answer.choices[0].message.reasoning_content);
});

test("what the engine does not do is a structured error", async () => {
  const error = await refused(OpenAI.BadRequestError, "hello", { model: "carnet-sums", n: 9 });
  assert.equal(error.code, "invalid_value");
  assert.equal(error.param, "n");
});

await run();
