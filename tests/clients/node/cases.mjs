// Runs cases and reports each as one JSON line; knows the mock's ledger. No part of any client.

export const { CARNET_BASE_URL: BASE_URL, CARNET_KEY: KEY, MOCK_URL } = process.env;
export const FULL = process.env.CARNET_FULL === "1";

const cases = [];

export function test(name, body) {
  cases.push([name, body]);
}

export async function run() {
  for (const [name, body] of cases) {
    try {
      await body();
      report(name);
    } catch (error) {
      report(name, error.stack ?? String(error));
    }
  }
}

export function report(name, why) {
  console.log(JSON.stringify({ case: name, ok: why === undefined, why: why ?? "" }));
}

// Tells the driver how many records requests for this name must have left in the log.
export function expectRecords(requested, records) {
  console.log(JSON.stringify({ requested, records }));
}

export async function mock(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`${MOCK_URL}/__${path}`, options);
  return answer.json();
}

export async function seenFrom(number) {
  return (await mock(`seen?from=${number}`)).seen;
}

export async function seenCount() {
  return (await seenFrom(0)).length;
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// The mock saw its peer hang up on request `number` within a second of `since`.
export async function closedWithinASecond(number, since) {
  for (const end = Date.now() + 5000; Date.now() < end; await pause(10)) {
    const [seen] = await seenFrom(number);
    if (!seen?.end) continue;
    if (seen.end !== "closed-by-peer") throw new Error(`it ended as ${seen.end}`);
    const late = seen.end_ms - since;
    if (late > 1000) throw new Error(`the upstream saw the close after ${late} ms`);
    return seen;
  }
  throw new Error("the upstream did not see the close");
}

// What the mock answers.
export function words(count) {
  return Array.from({ length: count }, (_, index) => `wörd${index}☂ `).join("");
}
