// Each recorded exchange gives the stock client through the gateway what it gives without.

import { isDeepStrictEqual } from "node:util";

import OpenAI from "openai";

import { BASE_URL, FULL, KEY, MOCK_URL, mock, report } from "./cases.mjs";

// The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
const CUTS = FULL ? [1, 7, 37, 0] : [37];

// What the application gets: everything parsed, or the error with all that it carries.
async function outcome(client, body) {
  const got = [];
  try {
    const answer = await client.chat.completions.create(body);
    if (body.stream) {
      for await (const chunk of answer) got.push(chunk);
    } else {
      got.push(answer);
    }
  } catch (error) {
    const { status, message, error: inside, code } = error;
    got.push({ name: error.constructor.name, status, message, inside, code });
  }
  return JSON.parse(JSON.stringify(got));
}

// The driver has the list of exchanges that the gateway refuses for a field.
const refused = (result) => result.at(-1)?.code === "field_refused";

// The client reports a stream that it cannot parse; both sides of the comparison say the same.
console.error = () => {};

const direct = new OpenAI({ baseURL: `${MOCK_URL}/v1`, apiKey: "direct", maxRetries: 0 });
const through = new OpenAI({ baseURL: BASE_URL, apiKey: KEY, maxRetries: 0 });
for (const exchange of (await mock("exchanges")).exchanges) {
  const body = JSON.parse(exchange.request);
  for (const cut of CUTS) {
    await mock("arm", { id: exchange.id, step: cut });
    const found = await outcome(through, body);
    if (refused(found)) continue;
    const wanted = await outcome(direct, body);
    const why = isDeepStrictEqual(found, wanted)
      ? undefined
      : `wanted ${JSON.stringify(wanted)}\nfound  ${JSON.stringify(found)}`.slice(0, 2000);
    report(`${exchange.id} in pieces of ${cut}`, why);
  }
}
