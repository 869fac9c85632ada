// The OpenAI SDK for JavaScript: chat completions, responses, embeddings, models.

import { ANSWER, BASE, check, counted, countingFetch, DIRECT, EMPTY, KEY, raised, run, same, sdk, used } from "./case.mjs";

const OpenAI = sdk("openai").OpenAI;
const MODEL = "gpt-fake";
const baseURL = `${BASE}/openai/v1`;
const client = new OpenAI({ apiKey: KEY, baseURL, fetch: countingFetch });
const messages = [{ role: "system", content: "be brief" }, { role: "user", content: "count to twelve please" }];
const weather = {
  name: "weather",
  description: "the weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const tools = [{ type: "function", function: weather }];

function bill(model, usage) {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  const reasoning = usage.completion_tokens_details?.reasoning_tokens ?? 0;
  const output = (usage.completion_tokens ?? 0) - reasoning;
  used(model, { input: usage.prompt_tokens - cached, cache_read: cached, output, reasoning });
}

function billResponse(model, usage) {
  const cached = usage.input_tokens_details.cached_tokens;
  const reasoning = usage.output_tokens_details.reasoning_tokens;
  used(model, { input: usage.input_tokens - cached, cache_read: cached, output: usage.output_tokens - reasoning, reasoning });
}

const chat = (more = {}, options = {}, by = client) => by.chat.completions.create({ model: MODEL, messages, ...more }, options);

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");

async function plain() {
  for (const model of [MODEL, `${MODEL}--cached`, `${MODEL}--reasoning`]) {
    const [answer, requests] = await counted(() => chat({ model }));
    same([answer.choices[0].message.content, answer.usage.prompt_tokens, requests], [ANSWER, 6, 1]);
    bill(model, answer.usage);
  }
}

async function streaming() {
  let chunks = await all(await chat({ stream: true }));
  same(text(chunks), ANSWER);
  check(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  used(MODEL, { input: 6, output: 12 });
  chunks = await all(await chat({ stream: true, stream_options: { include_usage: true } }));
  same([text(chunks), chunks.at(-1).choices], [ANSWER, []]);
  bill(MODEL, chunks.at(-1).usage);
}

async function useTools() {
  const answer = await chat({ tools });
  const call = answer.choices[0].message.tool_calls[0];
  same([call.function.name, JSON.parse(call.function.arguments)], ["weather", { city: "Paris" }]);
  bill(MODEL, answer.usage);
  const told = [...messages, answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "rain" }];
  const second = await chat({ messages: told, tools });
  same(second.choices[0].message.content, ANSWER);
  bill(MODEL, second.usage);
  const chunks = await all(await chat({ tools, stream: true }));
  const parts = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
  same(JSON.parse(parts.map((part) => part.function.arguments ?? "").join("")), { city: "Paris" });
  used(MODEL, { input: 6, output: 9 });
}

async function responses() {
  const answer = await client.responses.create({ model: MODEL, input: "count to twelve please" });
  same([answer.output_text, answer.status], [ANSWER, "completed"]);
  billResponse(MODEL, answer.usage);
  const events = await all(await client.responses.create({ model: MODEL, input: "count to twelve please", stream: true }));
  same(events.at(-1).type, "response.completed");
  billResponse(MODEL, events.at(-1).response.usage);
}

async function embeddings() {
  const answer = await client.embeddings.create({ model: "embed-fake", input: ["one two", "three"] });
  same(answer.data.map((item) => Array.from(item.embedding)), [[0.25, -0.5, 1], [0.25, -0.5, 1]]);
  bill("embed-fake", answer.usage);
}

async function models() {
  const ids = (await all(await client.models.list())).map((model) => model.id);
  check(ids.includes(MODEL), ids.join());
}

async function errors() {
  await raised(400, () => chat({ model: `${MODEL}--400` }));
  used(`${MODEL}--400`, null, "failed");
  await raised(401, () => chat({}, {}, new OpenAI({ apiKey: "wrong", baseURL })));
  await raised(DIRECT ? 500 : 502, () => chat({ model: `${MODEL}--500` }, { maxRetries: 0 }));
  used(`${MODEL}--500`, null, "failed");
  if (!DIRECT) same((await raised(404, () => chat({ model: "gpt-unheard-of" }))).code, "unknown_model");
}

async function rateLimited() {
  const [, requests] = await counted(() => raised(429, () => chat({ model: `${MODEL}--429-retry` })));
  same(requests, 3);
  for (let time = 0; time < 3; time += 1) used(`${MODEL}--429-retry`, null, "failed");
}

async function emptyWallet() {
  if (DIRECT) return;
  for (const stream of [false, true]) {
    const [error, requests] = await counted(() => raised(402, () => chat({ stream }, { headers: EMPTY })));
    same([error.code, requests], ["allowance_exhausted", 1]);
  }
}

async function brokenStreams() {
  const whole = async (model) => all(await chat({ model, stream: true }));
  await raised(undefined, () => whole(`${MODEL}--error-event`));
  used(`${MODEL}--error-event`, null, "failed");
  if (DIRECT) return same((await whole(`${MODEL}--clean-cut`)).length, 6);
  await raised(undefined, () => whole(`${MODEL}--clean-cut`));
  used(`${MODEL}--clean-cut`, null, "failed");
}

async function brokenResponses() {
  const whole = async (model) => all(await client.responses.create({ model, input: "count to twelve please", stream: true }));
  for (const [fault, code] of [["error-event", "provider_error"], ["clean-cut", "stream_cut"]]) {
    const model = `${MODEL}--${fault}`;
    // A stream that just ends looks whole to the SDK; OpenAI's own event of an error does not.
    if (DIRECT && fault === "clean-cut") {
      same((await whole(model)).at(-1).type, "response.output_text.delta");
      continue;
    }
    const error = await raised(undefined, () => whole(model));
    if (DIRECT) continue;
    same(error.code, code);
    used(model, null, "failed");
  }
}

await run([plain, streaming, useTools, responses, embeddings, models, errors, rateLimited, emptyWallet, brokenStreams,
  brokenResponses]);
