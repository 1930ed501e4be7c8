// Each recorded exchange gives LangChain's clients through the gateway what it gives without.
//
// They are asked with the recorded conversation where it is one that LangChain has words for.

import { ChatAnthropic } from "@langchain/anthropic";
import { ChatGoogleGenerativeAI } from "@langchain/google-genai";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";

import { Unasked, replay } from "./replaying.mjs";

// What a message gives an application.
const SHOWN = ["content", "tool_calls", "tool_call_chunks", "invalid_tool_calls", "usage_metadata", "additional_kwargs", "response_metadata"];
const ROLES = new Set(["assistant", "developer", "system", "user"]);

// A message without the ids that LangChain makes up for runs.
function plain(message) {
  const shown = Object.fromEntries(SHOWN.map((name) => [name, message[name]]));
  return { ...shown, id: /^(lc_|run-)/.test(message.id ?? "") ? undefined : message.id };
}

async function* ask(client, exchange, messages, options) {
  if (exchange.stream) {
    for await (const chunk of await client.stream(messages, options)) yield plain(chunk);
  } else {
    yield plain(await client.invoke(messages, options));
  }
}

// The text of a message's content, where it is nothing but text.
function words(content) {
  if (typeof content === "string") return content;
  const kinds = ["text", "input_text", "output_text"];
  if (!Array.isArray(content) || content.some(({ type }) => !kinds.includes(type))) throw new Unasked("a message with more than text");
  return content.map(({ text }) => text).join("");
}

// A conversation of texts.
function messagesOf(turns) {
  if (typeof turns === "string") return turns;
  const known = turns?.every((turn) => ROLES.has(turn.role) && "content" in turn && !("tool_calls" in turn || "tool_call_id" in turn));
  if (!known) throw new Unasked("a conversation with more than messages");
  return turns.map(({ role, content }) => ({ role, content: words(content) }));
}

function openai({ url, key }) {
  const settings = { apiKey: key, maxRetries: 0, configuration: { baseURL: `${url}/v1` } };
  return async function* ({ api, model, ...exchange }, body) {
    if (api === "embeddings") {
      const texts = [].concat(body.input);
      if (texts.some((text) => typeof text !== "string")) throw new Unasked("embeddings of tokens");
      yield await new OpenAIEmbeddings({ model, ...settings }).embedDocuments(texts);
      return;
    }
    const useResponsesApi = api === "responses";
    const client = new ChatOpenAI({ model, useResponsesApi, streamUsage: false, ...settings });
    const { tools, tool_choice } = body;
    const options = useResponsesApi ? {} : { tools, tool_choice };
    yield* ask(client, exchange, messagesOf(useResponsesApi ? body.input : body.messages), options);
  };
}

function anthropic({ url, key }) {
  return (exchange, body) => {
    const client = new ChatAnthropic({ model: exchange.model, apiKey: key, anthropicApiUrl: url, maxRetries: 0, maxTokens: 1024 });
    const system = body.system ? [{ role: "system", content: words(body.system) }] : [];
    return ask(client, exchange, [...system, ...messagesOf(body.messages)]);
  };
}

// The API has no ids of calls, so the client makes them up: its first is 0 on both sides.
function numbered(message) {
  const ids = [];
  const number = (id) => String(ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1);
  return JSON.parse(JSON.stringify(message).replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, number));
}

function google({ url, key }) {
  return async function* (exchange, body) {
    const client = new ChatGoogleGenerativeAI({ model: exchange.model, apiKey: key, baseUrl: url, maxRetries: 0 });
    const turns = body.contents.map(({ role, parts = [] }) => {
      if (parts.some((part) => Object.keys(part).join() !== "text")) throw new Unasked("a message with more than text");
      return { role: role === "model" ? "assistant" : "user", content: parts.map(({ text }) => text).join("") };
    });
    try {
      for await (const message of ask(client, exchange, turns)) yield numbered(message);
    } catch (error) {
      // The client names the address that it asked.
      error.message = error.message.replaceAll(url, "");
      throw error;
    }
  };
}

console.error = console.log = console.warn = () => {};

await replay(
  { name: "langchain-openai (Node)", apis: ["chat.completions", "embeddings", "responses"], open: openai },
  { name: "langchain-anthropic (Node)", apis: ["messages"], open: anthropic },
  { name: "langchain-google-genai (Node)", apis: ["gemini.generate", "gemini.stream"], open: google },
);
