// Puts clients before the recorded exchanges, once with and once without the gateway. No part of any client.

import { isDeepStrictEqual } from "node:util";

import { BASE_URL, FULL, KEY, MOCK_URL, mock } from "./cases.mjs";

// The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
const CUTS = FULL ? [1, 7, 37, 0] : [37];
// The driver has the list of what the gateway refuses.
const REFUSED = /field_refused|invalid_json|no response of this id is kept/i;

// Kept, since scripts silence clients that print what they think of an answer.
const say = console.log.bind(console);

// The client has no way to ask for what was recorded.
export class Unasked extends Error {}

// Each client: a name, its APIs, and what it makes of a side (address, key): a function from an exchange
// and its body to what the application gets, piece by piece.
export async function replay(...clients) {
  const through = { url: BASE_URL.replace(/\/v1$/, ""), key: KEY };
  const sides = clients.map(({ name, apis, open }) => ({
    name,
    apis,
    direct: open({ url: MOCK_URL, key: "direct" }),
    through: open(through),
  }));
  for (const exchange of (await mock("exchanges")).exchanges) {
    for (const side of sides.filter(({ apis }) => apis.includes(exchange.api))) {
      for (const cut of CUTS) await compare(side, exchange, cut);
    }
  }
}

async function compare({ name, direct, through }, exchange, cut) {
  const tell = (verdict, why = "") => {
    const line = { client: name, exchange: exchange.id, manner: String(cut), verdict, why };
    say(JSON.stringify(line));
  };
  await mock("arm", { id: exchange.id, step: cut });
  try {
    const found = await outcome(through, exchange);
    if (REFUSED.test(JSON.stringify(found.at(-1) ?? ""))) return tell("refused");
    const wanted = await outcome(direct, exchange);
    if (!isDeepStrictEqual(found, wanted)) {
      const both = `wanted ${JSON.stringify(wanted)}\nfound  ${JSON.stringify(found)}`;
      return tell("differs", both.slice(0, 2000));
    }
    const failed = exchange.status < 400 && found.at(-1)?.failed;
    tell(failed ? "same-failure" : "same", failed ? JSON.stringify(failed).slice(0, 300) : "");
  } catch (error) {
    if (!(error instanceof Unasked)) throw error;
    tell("unasked", error.message);
  }
}

// What the application gets: everything parsed, or the error with all that it carries.
async function outcome(client, exchange) {
  const got = [];
  try {
    for await (const one of client(exchange, JSON.parse(exchange.request))) got.push(one);
  } catch (error) {
    if (error instanceof Unasked) throw error;
    const { status, statusCode, message, error: inside, code, responseBody } = error;
    const name = error.constructor.name;
    got.push({ failed: { name, status, statusCode, message, inside, code, responseBody } });
  }
  return JSON.parse(JSON.stringify(got));
}
