// Each recorded exchange gives the makers' own clients through the gateway what it gives without.

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

import { replay } from "./replaying.mjs";

function openai({ url, key }) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  const calls = {
    "/v1/chat/completions": (body) => client.chat.completions.create(body),
    "/v1/completions": (body) => client.completions.create(body),
    "/v1/embeddings": (body) => client.embeddings.create(body),
    "/v1/responses": (body) => client.responses.create(body),
  };
  return pieces(calls);
}

function anthropic({ url, key }) {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  const calls = {
    "/v1/messages": (body) => client.messages.create(body),
    "/v1/messages?beta=true": (body) => client.beta.messages.create(body),
    "/v1/messages/count_tokens": (body) => client.messages.countTokens(body),
    "/v1/messages/count_tokens?beta=true": (body) => client.beta.messages.countTokens(body),
  };
  return pieces(calls);
}

// The answer, or its events.
function pieces(calls) {
  return async function* (exchange, body) {
    const answer = await calls[exchange.path](body);
    if (body.stream) yield* answer;
    else yield answer;
  };
}

// Clients report a stream that they cannot parse and models that retire; both sides say the same.
console.error = console.warn = () => {};

await replay(
  {
    name: "openai (Node)",
    apis: ["chat.completions", "completions", "embeddings", "responses"],
    open: openai,
  },
  { name: "anthropic (Node)", apis: ["messages", "count_tokens"], open: anthropic },
);
