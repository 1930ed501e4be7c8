// Each recorded exchange gives the stock clients through the gateway what it gives without.

import { isDeepStrictEqual } from "node:util";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { BASE_URL, FULL, KEY, MOCK_URL, mock, report } from "./cases.mjs";

// The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
const CUTS = FULL ? [1, 7, 37, 0] : [37];

// Both stock clients before one server.
class Side {
  constructor(url, key) {
    this.openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
    this.anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  }

  ask(path, body) {
    switch (path) {
      case "/v1/chat/completions":
        return this.openai.chat.completions.create(body);
      case "/v1/completions":
        return this.openai.completions.create(body);
      case "/v1/embeddings":
        return this.openai.embeddings.create(body);
      case "/v1/messages":
        return this.anthropic.messages.create(body);
      case "/v1/messages?beta=true":
        return this.anthropic.beta.messages.create(body);
      case "/v1/messages/count_tokens":
        return this.anthropic.messages.countTokens(body);
      case "/v1/messages/count_tokens?beta=true":
        return this.anthropic.beta.messages.countTokens(body);
      case "/v1/responses":
        return this.openai.responses.create(body);
      default:
        throw new Error(`no client for ${path}`);
    }
  }

  // What the application gets: everything parsed, or the error with all that it carries.
  async outcome(path, body) {
    const got = [];
    try {
      const answer = await this.ask(path, body);
      if (body.stream) {
        for await (const event of answer) got.push(event);
      } else {
        got.push(answer);
      }
    } catch (error) {
      const { status, message, error: inside, code } = error;
      got.push({ name: error.constructor.name, status, message, inside, code });
    }
    return JSON.parse(JSON.stringify(got));
  }
}

// The driver has the list of exchanges that the gateway refuses for a field.
const refused = (result) =>
  [result.at(-1)?.code, result.at(-1)?.inside?.error?.code].includes("field_refused");

// The client reports a stream that it cannot parse; both sides of the comparison say the same.
console.error = () => {};

const direct = new Side(MOCK_URL, "direct");
const through = new Side(BASE_URL.replace(/\/v1$/, ""), KEY);
for (const exchange of (await mock("exchanges")).exchanges) {
  const body = JSON.parse(exchange.request);
  for (const cut of CUTS) {
    await mock("arm", { id: exchange.id, step: cut });
    const found = await through.outcome(exchange.path, body);
    if (refused(found)) continue;
    const wanted = await direct.outcome(exchange.path, body);
    const why = isDeepStrictEqual(found, wanted)
      ? undefined
      : `wanted ${JSON.stringify(wanted)}\nfound  ${JSON.stringify(found)}`.slice(0, 2000);
    report(`${exchange.id} in pieces of ${cut}`, why);
  }
}
