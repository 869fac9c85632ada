// The Anthropic SDK for JavaScript: messages, count_tokens, both forms of the credential.

import { ANSWER, BASE, counted, countingFetch, DIRECT, EMPTY, KEY, raised, run, same, sdk, used } from "./case.mjs";

const module = sdk("@anthropic-ai/sdk");
const Anthropic = module.Anthropic ?? module.default;
const MODEL = "claude-fake";
const baseURL = `${BASE}/anthropic`;
const client = new Anthropic({ apiKey: KEY, baseURL, fetch: countingFetch });
const messages = [{ role: "user", content: "count to twelve please" }];
const tools = [{
  name: "weather",
  description: "the weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
}];

function bill(model, usage) {
  used(model, {
    input: usage.input_tokens,
    cache_read: usage.cache_read_input_tokens ?? 0,
    cache_write: usage.cache_creation?.ephemeral_5m_input_tokens ?? 0,
    cache_write_long: usage.cache_creation?.ephemeral_1h_input_tokens ?? 0,
    output: usage.output_tokens,
  });
}

const say = (more = {}, options = {}, by = client) => by.messages.create({ model: MODEL, max_tokens: 1000, messages, ...more }, options);

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function plain() {
  for (const model of [MODEL, `${MODEL}--cache-write`]) {
    const [answer, requests] = await counted(() => say({ model }));
    same([answer.content[0].text, answer.stop_reason, requests], [ANSWER, "end_turn", 1]);
    bill(model, answer.usage);
  }
}

async function bothCredentials() {
  const byToken = new Anthropic({ apiKey: null, authToken: KEY, baseURL });
  same((await say({}, {}, byToken)).content[0].text, ANSWER);
  used(MODEL, { input: 4, output: 12 });
}

async function streaming() {
  const stream = client.messages.stream({ model: MODEL, max_tokens: 1000, messages });
  same(await stream.finalText(), ANSWER);
  bill(MODEL, (await stream.finalMessage()).usage);
  const events = (await all(await say({ stream: true }))).map((event) => event.type);
  same([events[0], events.at(-1)], ["message_start", "message_stop"]);
  used(MODEL, { input: 4, output: 12 });
}

async function useTools() {
  const answer = await say({ tools });
  same([answer.content[0].name, answer.content[0].input], ["weather", { city: "Paris" }]);
  bill(MODEL, answer.usage);
  const result = { type: "tool_result", tool_use_id: answer.content[0].id, content: "rain" };
  const told = [...messages, { role: "assistant", content: answer.content }, { role: "user", content: [result] }];
  const second = await say({ messages: told, tools });
  same(second.content[0].text, ANSWER);
  bill(MODEL, second.usage);
  const last = await client.messages.stream({ model: MODEL, max_tokens: 1000, messages, tools }).finalMessage();
  same(last.content[0].input, { city: "Paris" });
  bill(MODEL, last.usage);
}

async function counting() {
  same((await client.messages.countTokens({ model: MODEL, messages })).input_tokens, 4);
}

async function errors() {
  await raised(400, () => say({ model: `${MODEL}--400` }));
  used(`${MODEL}--400`, null, "failed");
  await raised(401, () => say({}, {}, new Anthropic({ apiKey: "wrong", baseURL })));
  await raised(DIRECT ? 529 : 502, () => say({ model: `${MODEL}--529` }, { maxRetries: 0 }));
  used(`${MODEL}--529`, null, "failed");
  if (!DIRECT) await raised(404, () => say({ model: "claude-unheard-of" }));
}

async function rateLimited() {
  const [, requests] = await counted(() => raised(429, () => say({ model: `${MODEL}--429-retry` })));
  same(requests, 3);
  for (let time = 0; time < 3; time += 1) used(`${MODEL}--429-retry`, null, "failed");
}

async function emptyWallet() {
  if (DIRECT) return;
  const [, requests] = await counted(() => raised(402, () => say({}, { headers: EMPTY })));
  same(requests, 1);
}

async function brokenStreams() {
  const whole = async (model) => all(await say({ model, stream: true }));
  await raised(undefined, () => whole(`${MODEL}--error-event`));
  used(`${MODEL}--error-event`, null, "failed");
  if (DIRECT) return same((await whole(`${MODEL}--clean-cut`)).at(-1).type, "content_block_delta");
  await raised(undefined, () => whole(`${MODEL}--clean-cut`));
  used(`${MODEL}--clean-cut`, null, "failed");
}

await run([plain, bothCredentials, streaming, useTools, counting, errors, rateLimited, emptyWallet, brokenStreams]);
