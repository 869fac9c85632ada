// The Gemini SDK for JavaScript: generateContent and streamGenerateContent.

import { ANSWER, BASE, DIRECT, EMPTY, KEY, raised, run, same, sdk, used } from "./case.mjs";

const { GoogleGenAI } = sdk("@google/genai");
const MODEL = "gemini-fake";
const made = (apiKey = KEY, headers = {}) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: `${BASE}/gemini`, headers } });
const client = made();
const contents = "count to twelve please";
const tools = [{
  functionDeclarations: [{
    name: "weather",
    description: "the weather of a city",
    parameters: { type: "OBJECT", properties: { city: { type: "STRING" } }, required: ["city"] },
  }],
}];

function bill(model, usage) {
  const cached = usage.cachedContentTokenCount ?? 0;
  used(model, {
    input: usage.promptTokenCount - cached,
    cache_read: cached,
    output: usage.candidatesTokenCount ?? 0,
    reasoning: usage.thoughtsTokenCount ?? 0,
  });
}

const say = (more = {}, by = client) => by.models.generateContent({ model: MODEL, contents, ...more });

async function stream(more = {}, by = client) {
  const chunks = [];
  for await (const chunk of await by.models.generateContentStream({ model: MODEL, contents, ...more })) chunks.push(chunk);
  return chunks;
}

async function plain() {
  for (const model of [MODEL, `${MODEL}--cached`, `${MODEL}--reasoning`]) {
    const answer = await say({ model });
    same([answer.text, answer.usageMetadata.promptTokenCount], [ANSWER, 4]);
    bill(model, answer.usageMetadata);
  }
}

async function streaming() {
  const chunks = await stream();
  same(chunks.map((chunk) => chunk.text ?? "").join(""), ANSWER);
  bill(MODEL, chunks.at(-1).usageMetadata);
}

async function useTools() {
  const answer = await say({ config: { tools } });
  same(answer.functionCalls[0].args, { city: "Paris" });
  bill(MODEL, answer.usageMetadata);
  const told = [
    { role: "user", parts: [{ text: contents }] },
    answer.candidates[0].content,
    { role: "user", parts: [{ functionResponse: { name: "weather", response: { sky: "rain" } } }] },
  ];
  const second = await say({ contents: told, config: { tools } });
  same(second.text, ANSWER);
  bill(MODEL, second.usageMetadata);
}

async function counting() {
  same((await client.models.countTokens({ model: MODEL, contents })).totalTokens, 4);
}

async function errors() {
  await raised(400, () => say({ model: `${MODEL}--400` }));
  used(`${MODEL}--400`, null, "failed");
  await raised(401, () => say({}, made("wrong")));
  await raised(429, () => say({ model: `${MODEL}--429-retry` }));
  used(`${MODEL}--429-retry`, null, "failed");
  if (!DIRECT) await raised(404, () => say({ model: "gemini-unheard-of" }));
}

async function emptyWallet() {
  if (DIRECT) return;
  const error = await raised(402, () => say({}, made(KEY, EMPTY)));
  same(String(error).toLowerCase().includes("allowance_exhausted"), true, String(error));
  await raised(402, () => stream({}, made(KEY, EMPTY)));
}

async function brokenStreams() {
  // The old SDK hands an error in the form of an event on as if it were an answer; what the gateway sends it sees.
  if (!DIRECT) await raised(undefined, () => stream({ model: `${MODEL}--error-event` }));
  used(`${MODEL}--error-event`, null, "failed");
  if (DIRECT) return same((await stream({ model: `${MODEL}--clean-cut` })).length, 5);
  await raised(undefined, () => stream({ model: `${MODEL}--clean-cut` }));
  used(`${MODEL}--clean-cut`, null, "failed");
}

await run([plain, streaming, useTools, counting, errors, emptyWallet, brokenStreams]);
