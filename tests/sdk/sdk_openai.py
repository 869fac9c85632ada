"""The OpenAI SDK for Python: chat completions, responses, embeddings, models."""

import asyncio
import json

import openai
from case import (ANSWER, BASE, BURST, DIRECT, EMPTY, HASTY, KEY, PARIS, counted, counting_client, raised, run, same,
                  used)

MODEL = "gpt-fake"
URL = BASE + "/openai/v1"
client = openai.OpenAI(api_key=KEY, base_url=URL, http_client=counting_client())
ASK = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "count to twelve please"}]
WEATHER = {"name": "weather", "description": "the weather of a city",
           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
TOOLS = [{"type": "function", "function": WEATHER}]


def bill(model, usage, status="completed"):
    """Chat and embeddings report prompt and completion; what is cached and what is reasoning is part of them."""
    cached = usage.prompt_tokens_details.cached_tokens if getattr(usage, "prompt_tokens_details", None) else 0
    details = getattr(usage, "completion_tokens_details", None)
    reasoning = details.reasoning_tokens if details else 0
    output = getattr(usage, "completion_tokens", 0) or 0
    used(model, status, input=usage.prompt_tokens - cached, cache_read=cached, output=output - reasoning,
         reasoning=reasoning)


def bill_response(model, usage):
    cached, reasoning = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
    used(model, input=usage.input_tokens - cached, cache_read=cached, output=usage.output_tokens - reasoning,
         reasoning=reasoning)


def chat(model=MODEL, messages=ASK, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


def plain():
    for model in (MODEL, f"{MODEL}--cached", f"{MODEL}--reasoning"):
        answer, requests = counted(lambda: chat(model))
        same((answer.choices[0].message.content, answer.choices[0].finish_reason, requests), (ANSWER, "stop", 1))
        same(answer.usage.prompt_tokens, 6)
        bill(model, answer.usage)


def limited():
    answer = chat(max_completion_tokens=4)
    same((answer.choices[0].message.content, answer.choices[0].finish_reason), ("w1 w2 w3 w4", "length"))
    bill(MODEL, answer.usage)


def streaming():
    chunks = list(chat(stream=True))
    same("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), ANSWER)
    # Who does not ask for it gets no usage, and no chunk without a choice; it is billed all the same.
    assert all(chunk.choices and chunk.usage is None for chunk in chunks), chunks
    used(MODEL, input=6, output=12)


def streaming_with_usage():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    last = chunks[-1]
    same((last.choices, [chunk.usage for chunk in chunks[:-1] if chunk.usage]), ([], []))
    same((last.usage.prompt_tokens, last.usage.completion_tokens), (6, 12))
    bill(MODEL, last.usage)


def streaming_async():
    async def go():
        async with openai.AsyncOpenAI(api_key=KEY, base_url=URL) as later:
            parts = []
            async for chunk in await later.chat.completions.create(model=MODEL, messages=ASK, stream=True):
                parts.append(chunk.choices[0].delta.content or "")
            return "".join(parts)

    same(asyncio.run(go()), ANSWER)
    used(MODEL, input=6, output=12)


def tools():
    answer = chat(tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    same((answer.choices[0].finish_reason, call.function.name, json.loads(call.function.arguments)),
         ("tool_calls", "weather", PARIS))
    bill(MODEL, answer.usage)
    told = ASK + [answer.choices[0].message.model_dump(exclude_none=True),
                  {"role": "tool", "tool_call_id": call.id, "content": "rain all day"}]
    answer = chat(messages=told, tools=TOOLS)
    same(answer.choices[0].message.content, ANSWER)
    bill(MODEL, answer.usage)


def tools_streaming():
    name, arguments, usage = "", "", None
    for chunk in chat(tools=TOOLS, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    same((name, json.loads(arguments)), ("weather", PARIS))
    bill(MODEL, usage)


def images():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    answer = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "what is this"}, picture]}],
                  extra_body={"a_field_of_tomorrow": {"deep": [1]}})
    same((answer.choices[0].message.content, answer.usage.prompt_tokens), (ANSWER, 3))
    bill(MODEL, answer.usage)


def responses():
    answer = client.responses.create(model=MODEL, instructions="be brief", input="count to twelve please")
    same((answer.output_text, answer.status, answer.usage.input_tokens), (ANSWER, "completed", 6))
    bill_response(MODEL, answer.usage)
    answer = client.responses.create(model=MODEL, input="the weather", tools=[{"type": "function", "strict": False} | WEATHER])
    same((answer.output[0].type, json.loads(answer.output[0].arguments)), ("function_call", PARIS))
    bill_response(MODEL, answer.usage)


def responses_streaming():
    for model in (MODEL, f"{MODEL}--reasoning"):
        text, last = "", None
        for event in client.responses.create(model=model, input="count to twelve please", stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
        same((text, last.type), (ANSWER, "response.completed"))
        bill_response(model, last.response.usage)


def embeddings():
    for more in ({}, {"encoding_format": "float"}):
        answer = client.embeddings.create(model="embed-fake", input=["one two", "three"], **more)
        same([item.embedding for item in answer.data], [[0.25, -0.5, 1.0]] * 2)
        bill("embed-fake", answer.usage)


def models():
    assert MODEL in [model.id for model in client.models.list()]


def errors():
    refused = raised(openai.BadRequestError, lambda: chat(f"{MODEL}--400"))
    assert "made to fail" in str(refused), refused
    used(f"{MODEL}--400", "failed")
    stranger = openai.OpenAI(api_key="wrong", base_url=URL)
    raised(openai.AuthenticationError, lambda: stranger.chat.completions.create(model=MODEL, messages=ASK))
    raised(openai.InternalServerError, lambda: client.with_options(max_retries=0).chat.completions.create(
        model=f"{MODEL}--500", messages=ASK))
    used(f"{MODEL}--500", "failed")
    if not DIRECT:
        unknown = raised(openai.NotFoundError, lambda: chat("gpt-unheard-of"))
        same(unknown.code, "unknown_model")


def rate_limited():
    error, requests = counted(lambda: raised(openai.RateLimitError, lambda: chat(f"{MODEL}--429-retry")))
    same((error.status_code, requests, error.response.headers["retry-after"]), (429, 3, "1"))
    for _ in range(3):
        used(f"{MODEL}--429-retry", "failed")


def too_often():
    if DIRECT:
        return
    hasty = openai.OpenAI(api_key=HASTY, base_url=URL, max_retries=0)
    error = raised(openai.RateLimitError, lambda: [hasty.models.list() for _ in range(3 * BURST)])
    same((error.status_code, error.code, error.type, error.response.headers["retry-after"]),
         (429, "rate_limited", "rate_limit_error", "1"))
    # The SDK's own retries wait for so long, and get through.
    assert MODEL in [model.id for model in hasty.with_options(max_retries=5).models.list()]


def empty_wallet():
    if DIRECT:
        return
    for more in ({}, {"stream": True}):
        error, requests = counted(
            lambda: raised(openai.APIStatusError, lambda: chat(extra_headers=EMPTY, **more)))
        same((error.status_code, requests, error.code), (402, 1, "allowance_exhausted"))


def broken_streams():
    def whole(model):
        return list(chat(model, stream=True))

    raised(openai.APIError, lambda: whole(f"{MODEL}--error-event"))
    used(f"{MODEL}--error-event", "failed")
    if DIRECT:
        # A stream that just ends looks whole to the SDK.
        same(len(whole(f"{MODEL}--clean-cut")), 6)
    else:
        raised(openai.APIError, lambda: whole(f"{MODEL}--clean-cut"))
        used(f"{MODEL}--clean-cut", "failed")


def broken_responses():
    def whole(model):
        return list(client.responses.create(model=model, input="count to twelve please", stream=True))

    if DIRECT:
        # OpenAI's own event of an error is told by the SDK like any other; a stream that just ends looks whole to it.
        same(whole(f"{MODEL}--error-event")[-1].type, "error")
        same(whole(f"{MODEL}--clean-cut")[-1].type, "response.output_text.delta")
        return
    for fault, code in (("error-event", "provider_error"), ("clean-cut", "stream_cut")):
        same(raised(openai.APIError, lambda: whole(f"{MODEL}--{fault}")).code, code)
        used(f"{MODEL}--{fault}", "failed")


run([plain, limited, streaming, streaming_with_usage, streaming_async, tools, tools_streaming, images, responses,
     responses_streaming, embeddings, models, errors, rate_limited, too_often, empty_wallet, broken_streams,
     broken_responses])
