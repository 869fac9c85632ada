"""The Anthropic SDK for Python: messages, count_tokens, both forms of the credential."""

import asyncio

import anthropic
from case import ANSWER, BASE, DIRECT, EMPTY, KEY, PARIS, counted, counting_client, raised, run, same, used

MODEL = "claude-fake"
URL = BASE + "/anthropic"
client = anthropic.Anthropic(api_key=KEY, base_url=URL, http_client=counting_client())
ASK = [{"role": "user", "content": "count to twelve please"}]
TOOLS = [{"name": "weather", "description": "the weather of a city",
          "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]


def bill(model, usage, status="completed"):
    created = usage.cache_creation
    used(model, status, input=usage.input_tokens, cache_read=usage.cache_read_input_tokens or 0,
         cache_write=created.ephemeral_5m_input_tokens if created else 0,
         cache_write_long=created.ephemeral_1h_input_tokens if created else 0, output=usage.output_tokens)


def say(model=MODEL, messages=ASK, by=client, **more):
    return by.messages.create(model=model, max_tokens=1000, system="be brief", messages=messages, **more)


def plain():
    for model in (MODEL, f"{MODEL}--cache-write"):
        answer, requests = counted(lambda: say(model))
        same((answer.content[0].text, answer.stop_reason, requests), (ANSWER, "end_turn", 1))
        bill(model, answer.usage)


def both_credentials():
    # `api_key` goes out as x-api-key, `auth_token` as Authorization: Bearer.
    by_token = anthropic.Anthropic(api_key=None, auth_token=KEY, base_url=URL)
    assert "x-api-key" not in {name.lower() for name in by_token.auth_headers}, by_token.auth_headers
    same(say(by=by_token).content[0].text, ANSWER)
    used(MODEL, input=6, output=12)
    both = anthropic.Anthropic(api_key=KEY, base_url=URL, default_headers={"Authorization": f"Bearer {KEY}"})
    same(say(by=both).content[0].text, ANSWER)
    used(MODEL, input=6, output=12)


def streaming():
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=ASK) as stream:
        same("".join(stream.text_stream), ANSWER)
        message = stream.get_final_message()
    same((message.stop_reason, message.usage.output_tokens), ("end_turn", 12))
    bill(MODEL, message.usage)
    events = [event.type for event in say(stream=True)]
    same((events[0], events[-1], events.count("content_block_delta")), ("message_start", "message_stop", 12))
    used(MODEL, input=6, output=12)


def streaming_with_caches():
    with client.messages.stream(model=f"{MODEL}--cache-write", max_tokens=1000, messages=ASK) as stream:
        same("".join(stream.text_stream), ANSWER)
        bill(f"{MODEL}--cache-write", stream.get_final_message().usage)


def streaming_async():
    async def go():
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=URL) as later:
            async with later.messages.stream(model=MODEL, max_tokens=1000, messages=ASK) as stream:
                return "".join([text async for text in stream.text_stream])

    same(asyncio.run(go()), ANSWER)
    used(MODEL, input=4, output=12)


def limited():
    answer = client.messages.create(model=MODEL, max_tokens=3, messages=ASK)
    same((answer.content[0].text, answer.stop_reason), ("w1 w2 w3", "max_tokens"))
    bill(MODEL, answer.usage)


def tools():
    answer = say(tools=TOOLS)
    call = answer.content[0]
    same((answer.stop_reason, call.name, call.input), ("tool_use", "weather", PARIS))
    bill(MODEL, answer.usage)
    told = ASK + [{"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]},
                  {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]}]
    answer = say(messages=told, tools=TOOLS)
    same(answer.content[0].text, ANSWER)
    bill(MODEL, answer.usage)
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=ASK, tools=TOOLS) as stream:
        answer = stream.get_final_message()
    same((answer.content[0].name, answer.content[0].input), ("weather", PARIS))
    bill(MODEL, answer.usage)


def images():
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    answer = say(messages=[{"role": "user", "content": [{"type": "image", "source": source},
                                                        {"type": "text", "text": "what is this"}]}])
    same(answer.content[0].text, ANSWER)
    bill(MODEL, answer.usage)


def counting():
    # Counting costs nothing.
    same(client.messages.count_tokens(model=MODEL, messages=ASK).input_tokens, 4)


def errors():
    refused = raised(anthropic.BadRequestError, lambda: say(f"{MODEL}--400"))
    assert "made to fail" in str(refused), refused
    used(f"{MODEL}--400", "failed")
    stranger = anthropic.Anthropic(api_key="wrong", base_url=URL)
    raised(anthropic.AuthenticationError, lambda: say(by=stranger))
    error = raised(anthropic.APIStatusError, lambda: say(f"{MODEL}--529", by=client.with_options(max_retries=0)))
    # What a provider's failure was is not the client's business: it is a bad gateway.
    same((error.status_code, error.body["error"]["type"]), (529, "overloaded_error") if DIRECT else (502, "api_error"))
    used(f"{MODEL}--529", "failed")
    if not DIRECT:
        raised(anthropic.NotFoundError, lambda: say("claude-unheard-of"))


def rate_limited():
    error, requests = counted(lambda: raised(anthropic.RateLimitError, lambda: say(f"{MODEL}--429-retry")))
    same((error.status_code, requests, error.response.headers["retry-after"]), (429, 3, "1"))
    for _ in range(3):
        used(f"{MODEL}--429-retry", "failed")


def empty_wallet():
    if DIRECT:
        return
    error, requests = counted(lambda: raised(anthropic.APIStatusError, lambda: say(extra_headers=EMPTY)))
    same((error.status_code, requests, error.body["type"]), (402, 1, "error"))
    assert "allowance_exhausted" in str(error.body), error.body


def broken_streams():
    def whole(model):
        return [event.type for event in say(model, stream=True)]

    raised(anthropic.APIStatusError, lambda: whole(f"{MODEL}--error-event"))
    used(f"{MODEL}--error-event", "failed")
    if DIRECT:
        same(whole(f"{MODEL}--clean-cut")[-1], "content_block_delta")
    else:
        raised(anthropic.APIStatusError, lambda: whole(f"{MODEL}--clean-cut"))
        used(f"{MODEL}--clean-cut", "failed")


run([plain, both_credentials, streaming, streaming_with_caches, streaming_async, limited, tools, images, counting,
     errors, rate_limited, empty_wallet, broken_streams])
