// What the scripts of the JavaScript SDKs share: where to call, and what they say of each call.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

export const BASE = process.env.SDK_BASE;
export const KEY = process.env.SDK_KEY;
// Whether the fake provider is called itself: nothing is metered there, and nothing mended.
export const DIRECT = process.env.SDK_DIRECT === "1";
// A wallet without money.
export const EMPTY = { "Counterfoil-Wallet": "sdk:empty" };
export const ANSWER = Array.from({ length: 12 }, (_, index) => `w${index + 1}`).join(" ");
export const same = assert.deepEqual;
export const check = assert.ok;

// The SDK of one version among several that are installed.
export const sdk = (name) => createRequire(`${process.env.SDK_MODULES}/from-here.js`)(name);

let requests = 0;
const original = globalThis.fetch;
export const countingFetch = (...given) => {
  requests += 1;
  return original(...given);
};

// The result of a call, with the number of requests that it made.
export async function counted(call) {
  requests = 0;
  const result = await call();
  return [result, requests];
}

// Says what a call must have been billed for; without tokens, whatever they were.
export function used(model, usage = null, status = "completed") {
  console.log(JSON.stringify({ model, status, usage }));
}

// The error of a call, which must have this status; none where it comes in the middle of a stream.
export async function raised(status, call) {
  let result;
  try {
    result = await call();
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    if (status !== undefined) same(error.status, status, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `expected an error, got ${JSON.stringify(result)}` });
}

export async function run(cases) {
  let failures = 0;
  for (const each of cases) {
    try {
      await each();
    } catch (error) {
      failures += 1;
      console.log(JSON.stringify({ failed: each.name, why: String(error?.stack ?? error) }));
    }
  }
  console.log(JSON.stringify({ ran: cases.length, failures }));
}
