"""The Gemini SDK for Python: generateContent and streamGenerateContent."""

import asyncio
import json
import urllib.request

from case import ANSWER, BASE, DIRECT, EMPTY, KEY, PARIS, raised, run, same, used
from google import genai
from google.genai import errors, types

MODEL = "gemini-fake"


def made(key=KEY, **headers):
    options = types.HttpOptions(base_url=BASE + "/gemini", headers=headers or None)
    return genai.Client(api_key=key, http_options=options)


client = made()
ASK = "count to twelve please"
WEATHER = types.Tool(function_declarations=[types.FunctionDeclaration(
    name="weather", description="the weather of a city",
    parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]))])
WITH_TOOLS = types.GenerateContentConfig(
    tools=[WEATHER], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))


def bill(model, usage, status="completed"):
    cached = usage.cached_content_token_count or 0
    used(model, status, input=usage.prompt_token_count - cached, cache_read=cached,
         output=usage.candidates_token_count or 0, reasoning=usage.thoughts_token_count or 0)


def say(model=MODEL, contents=ASK, by=client, config=None):
    return by.models.generate_content(model=model, contents=contents, config=config)


def stream(model=MODEL, contents=ASK, by=client, config=None):
    return list(by.models.generate_content_stream(model=model, contents=contents, config=config))


def plain():
    for model in (MODEL, f"{MODEL}--cached", f"{MODEL}--reasoning"):
        answer = say(model, config=types.GenerateContentConfig(system_instruction="be brief"))
        same((answer.text, answer.usage_metadata.prompt_token_count), (ANSWER, 6))
        bill(model, answer.usage_metadata)


def streaming():
    for model in (MODEL, f"{MODEL}--reasoning"):
        chunks = stream(model)
        same("".join(chunk.text or "" for chunk in chunks), ANSWER)
        bill(model, chunks[-1].usage_metadata)


def streaming_async():
    async def go():
        parts = await made().aio.models.generate_content_stream(model=MODEL, contents=ASK)
        return "".join([part.text or "" async for part in parts])

    same(asyncio.run(go()), ANSWER)
    used(MODEL, input=4, output=12)


def limited():
    answer = say(config=types.GenerateContentConfig(max_output_tokens=3))
    same((answer.text, answer.candidates[0].finish_reason), ("w1 w2 w3", types.FinishReason.MAX_TOKENS))
    bill(MODEL, answer.usage_metadata)


def tools():
    answer = say(config=WITH_TOOLS)
    call = answer.function_calls[0]
    same((call.name, call.args), ("weather", PARIS))
    bill(MODEL, answer.usage_metadata)
    told = [types.Content(role="user", parts=[types.Part(text=ASK)]), answer.candidates[0].content,
            types.Content(role="user", parts=[types.Part.from_function_response(name="weather", response={"sky": "rain"})])]
    answer = say(contents=told, config=WITH_TOOLS)
    same(answer.text, ANSWER)
    bill(MODEL, answer.usage_metadata)
    chunks = stream(config=WITH_TOOLS)
    same(chunks[-1].function_calls[0].args, PARIS)
    bill(MODEL, chunks[-1].usage_metadata)


def images():
    picture = types.Part.from_bytes(data=b"\x89PNG\r\n", mime_type="image/png")
    answer = say(contents=["what is this", picture])
    same((answer.text, answer.usage_metadata.prompt_token_count), (ANSWER, 3))
    bill(MODEL, answer.usage_metadata)


def counting():
    same(client.models.count_tokens(model=MODEL, contents=ASK).total_tokens, 4)


def key_in_the_address():
    body = json.dumps({"contents": [{"parts": [{"text": ASK}]}]}).encode()
    for version in ("v1", "v1beta"):
        address = f"{BASE}/gemini/{version}/models/{MODEL}:generateContent?key={KEY}"
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            answer = json.load(response)
        same(answer["candidates"][0]["content"]["parts"][0]["text"], ANSWER)
        used(MODEL, input=4, output=12)


def refusals():
    refused = raised(errors.ClientError, lambda: say(f"{MODEL}--400"))
    same((refused.code, refused.status), (400, "INVALID_ARGUMENT"))
    used(f"{MODEL}--400", "failed")
    same(raised(errors.ClientError, lambda: say(by=made("wrong"))).code, 401)
    same(raised(errors.ServerError, lambda: say(f"{MODEL}--503")).code, 503 if DIRECT else 502)
    used(f"{MODEL}--503", "failed")
    if not DIRECT:
        same(raised(errors.ClientError, lambda: say("gemini-unheard-of")).code, 404)


def rate_limited():
    error = raised(errors.ClientError, lambda: say(f"{MODEL}--429-retry"))
    same((error.code, error.status), (429, "RESOURCE_EXHAUSTED"))
    assert any("retryDelay" in detail for detail in error.details["error"]["details"]), error.details
    used(f"{MODEL}--429-retry", "failed")


def empty_wallet():
    if DIRECT:
        return
    for call in (say, stream):
        error = raised(errors.ClientError, lambda: call(by=made(**EMPTY)))
        same(error.code, 402)
        assert "allowance_exhausted" in str(error.details).lower(), error.details


def broken_streams():
    raised(errors.APIError, lambda: stream(f"{MODEL}--error-event"))
    used(f"{MODEL}--error-event", "failed")
    if DIRECT:
        same(len(stream(f"{MODEL}--clean-cut")), 5)
    else:
        raised(errors.APIError, lambda: stream(f"{MODEL}--clean-cut"))
        used(f"{MODEL}--clean-cut", "failed")


run([plain, streaming, streaming_async, limited, tools, images, counting, key_in_the_address, refusals, rate_limited,
     empty_wallet, broken_streams])
