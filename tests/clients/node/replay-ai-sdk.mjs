// Each recorded exchange gives Vercel's AI SDK through the gateway what it gives without.
//
// The providers are asked below `generateText`, where a prompt and an answer are those of the wire; what they would
// send is replaced by what was recorded.

import { createAmazonBedrock } from "@ai-sdk/amazon-bedrock";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";

import { replay } from "./replaying.mjs";

const PROMPT = [{ role: "user", content: [{ type: "text", text: "x" }] }];

// `make` gives the model of a provider with these settings.
const through = (make) => ({ url, key }) => async function* (exchange, body) {
  const send = (address, options) => fetch(address, { ...options, body: exchange.request });
  const model = make({ url, key, fetch: send }, exchange);
  if (exchange.api === "embeddings") {
    yield pick(await model.doEmbed({ values: [].concat(body.input) }));
  } else if (exchange.stream) {
    const { stream } = await model.doStream({ prompt: PROMPT, includeRawChunks: false });
    for await (const part of stream) {
      if (part.type === "error") throw Object.assign(new Error(String(part.error)), part.error);
      yield steady(part);
    }
  } else {
    yield pick(await model.doGenerate({ prompt: PROMPT }));
  }
};

// Without the request and the headers, which are not the answer's.
const pick = ({ request, response, ...rest }) => ({
  ...rest,
  response: response && { id: response.id, modelId: response.modelId, body: response.body },
});

// Providers make up names of sources, and times where an answer has none.
function steady(part) {
  const { timestamp, ...rest } = part;
  return part.type === "source" ? { ...rest, id: "" } : rest;
}

const settings = ({ url, key, fetch }, below) => ({ baseURL: `${url}${below}`, apiKey: key, fetch });

await replay(
  {
    name: "AI SDK openai",
    apis: ["responses"],
    open: through((side, { model }) => createOpenAI(settings(side, "/v1")).responses(model || "m")),
  },
  {
    name: "AI SDK openai-compatible",
    apis: ["chat.completions", "completions", "embeddings"],
    open: through((side, { api, model }) => {
      const provider = createOpenAICompatible({ name: "carnet", ...settings(side, "/v1") });
      if (api === "embeddings") return provider.textEmbeddingModel(model);
      return api === "completions" ? provider.completionModel(model) : provider.chatModel(model);
    }),
  },
  {
    name: "AI SDK anthropic",
    apis: ["messages"],
    open: through((side, { model }) => createAnthropic(settings(side, "/v1"))(model)),
  },
  {
    name: "AI SDK google",
    apis: ["gemini.generate", "gemini.stream"],
    open: through((side, { model }) => {
      // The API has no ids of calls; those made up are the same on both sides.
      let count = 0;
      const generateId = () => `made-up-${(count += 1)}`;
      return createGoogleGenerativeAI({ ...settings(side, "/v1beta"), generateId })(model);
    }),
  },
  {
    name: "AI SDK amazon-bedrock",
    apis: ["bedrock.converse", "bedrock.converse-stream"],
    open: through((side, { model }) => createAmazonBedrock({ region: "us-east-1", ...settings(side, "") })(model)),
  },
);
