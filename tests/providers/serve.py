#!/usr/bin/env python3
"""Providers of AI models for tests: the wire formats of OpenAI, Anthropic and Gemini over HTTP, with faults.

Prints its port, and ends when its parent does. Needs nothing but Python (3.10 or later).

The base addresses are http://127.0.0.1:<port>/openai/v1, /anthropic and /gemini; anything may stand before them. An
answer has twelve words, of one token each; `[[words 500]]` in the text of a request asks for another number, and
`[[delay 20]]` for so many milliseconds before each. The tokens of a request are the words of its texts. Which fault
happens follows from the model's name, `<model>--<fault>`, from the header X-Fake-Fault, or from /fault/<fault>/ at the
beginning of the path:

  slow-headers, no-first-token   nothing comes, or headers alone
  stall, cut, clean-cut          in the middle of a stream: silence, the connection breaks, the stream just ends
  malformed, error-event         in the middle of a stream: a chunk that is no JSON, an error in band and the end
  400, 401, 429, 429-retry, 500, 503, 529   that status; 429-retry has Retry-After: 1
  429-once, 429-retry-once, 500-once, cut-once, slow-once, ...   the fault for the first request of the model alone
  wrong-usage, no-usage, zero-usage, absurd-usage   ten and a thousand times too much; none; zero; negative numbers
  double-end                     the terminal events come twice
  huge-chunk                     a chunk of 4 MiB in the middle
  content-filter, content-filter-400   the answer is cut by a filter, or the request is refused by one
  cached, cache-write, reasoning tokens of those kinds are reported

GET /_requests lists what was asked, with what came of it; POST /_forget empties the list.
"""

import asyncio
import json
import os
import sys
from urllib.parse import parse_qsl, unquote, urlsplit

import wire_anthropic
import wire_gemini
import wire_openai
from plan import MIDDLE, fault_of, plan

HUGE = 4 * 1024 * 1024
STATUSES = {"400": 400, "401": 401, "404": 404, "429": 429, "429-retry": 429, "500": 500, "503": 503, "529": 529}


class Cut(Exception):
    """The connection is to break."""


class Providers:
    def __init__(self):
        self.log = []
        self.seen = {}

    async def connection(self, reader, writer):
        try:
            while True:
                request = await read_request(reader)
                if request is None:
                    break
                await self.answer(Reply(reader, writer), *request)
        except Cut:
            # A reset rather than an orderly end.
            writer.transport.abort()
            return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(self, reply, method, target, headers, body):
        url = urlsplit(target)
        path, query = unquote(url.path), dict(parse_qsl(url.query))
        if path == "/_requests":
            return await reply.json(200, self.log)
        if path == "/_forget":
            self.log, self.seen = [], {}
            return await reply.json(200, {})
        wire, name = route(method, path, query, headers)
        if wire is None:
            return await reply.json(404, wire_openai.error(404, "not_found", f"nothing at {method} {path}"))
        credential = headers.get("x-api-key") or headers.get("x-goog-api-key") or query.get("key")
        credential = credential or headers.get("authorization", "").removeprefix("Bearer ")
        entry = {"method": method, "path": path, "credential": credential, "outcome": "begun", "words": 0,
                 "headers": headers}
        self.log.append(entry)
        if not credential or credential == "wrong":
            entry["outcome"] = "401"
            return await reply.json(401, wire.error(401, "invalid_api_key", "the API key is wrong"))
        if callable(name):
            entry["outcome"] = "done"
            return await reply.json(200, name())
        try:
            given = json.loads(body)
            model = name or given["model"]
            entry |= {"model": model, "body": given}
            if isinstance(wire, wire_anthropic.Messages) and "anthropic-version" not in headers:
                raise KeyError("anthropic-version")
            asked = wire.read(given, model, query)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            entry["outcome"] = "400"
            return await reply.json(400, wire.error(400, "invalid_request", f"the request is wrong: {error!r}"))
        fault = self.fault(fault_of(model, headers, path), model)
        try:
            await Answer(reply, wire, asked, plan(asked, fault), entry, len(self.log)).send()
        except (Cut, ConnectionError):
            if entry["outcome"] == "begun":
                entry["outcome"] = "client gone"
            raise

    def fault(self, fault, model):
        """The fault of this request: one that happens once is over with the first."""
        if not fault.endswith("-once"):
            return fault
        times = self.seen[model] = self.seen.get(model, 0) + 1
        return fault.removesuffix("-once") if times == 1 else ""


def route(method, path, query, headers):
    """The wire format of an address, with the model or the whole answer where the address says it."""
    if path.endswith("/chat/completions"):
        return wire_openai.Chat(), None
    if path.endswith("/responses"):
        return wire_openai.Responses(), None
    if path.endswith("/embeddings"):
        return wire_openai.Embeddings(), None
    if path.endswith("/messages/count_tokens"):
        return wire_anthropic.CountTokens(), None
    if path.endswith("/messages"):
        return wire_anthropic.Messages(), None
    last = path.rsplit("/", 1)[-1]
    if "/models/" in path and ":" in last:
        model, query["method"] = last.split(":", 1)
        return (wire_gemini.CountTokens() if query["method"] == "countTokens" else wire_gemini.Generate()), model
    if method == "GET" and path.endswith("/models"):
        gemini = "x-goog-api-key" in headers or "/v1beta/" in path
        return (wire_gemini.Generate(), wire_gemini.models) if gemini else (wire_openai.Chat(), wire_openai.models)
    return None, None


class Answer:
    """One answer, with its fault."""

    def __init__(self, reply, wire, asked, plan, entry, number):
        self.reply, self.wire, self.asked, self.plan = reply, wire, asked, plan
        self.entry, self.number = entry, number

    async def send(self):
        fault = self.plan.fault
        self.entry["fault"] = fault
        if fault in ("slow-headers", "slow"):
            await self.reply.silence()
        if fault == "content-filter-400":
            self.entry["outcome"] = "400"
            return await self.reply.json(400, self.wire.error(400, "content_filter", "refused by the content filter"))
        status = STATUSES.get(fault)
        if status:
            self.entry["outcome"] = str(status)
            retry = fault == "429-retry"
            more = {"Retry-After": "1"} if retry else {}
            code = "retry" if retry else "fake_fault"
            return await self.reply.json(status, self.wire.error(status, code, f"made to fail with {status}"), more)
        if self.asked.stream:
            await self.stream()
        else:
            await self.whole()

    async def whole(self):
        fault, value = self.plan.fault, self.wire.whole(self.asked, self.plan, self.number)
        if fault == "absurd-usage":
            value = absurd(value)
        text = json.dumps(value)
        if fault == "huge-chunk":
            text = text.replace("w3", "w3" + "x" * HUGE, 1)
        for _ in self.plan.words:
            await self.reply.pause(self.plan.delay)
        if fault in ("no-first-token", "stall"):
            await self.reply.head(200, {"Content-Type": "application/json", "Content-Length": str(len(text))})
            await self.reply.silence()
        if fault in ("cut", "clean-cut"):
            self.entry["outcome"] = "cut"
            await self.reply.head(200, {"Content-Type": "application/json", "Content-Length": str(len(text))})
            await self.reply.raw(text[: len(text) // 2].encode())
            raise Cut
        if fault == "malformed":
            text = text[: len(text) // 2]
        if fault == "error-event":
            self.entry["outcome"] = "500"
            return await self.reply.json(500, self.wire.error(500, "server_error", "made to fail"))
        self.entry |= {"outcome": "done", "words": len(self.plan.words)}
        await self.reply.text(200, text, {"X-Request-Id": f"fake-{self.number}"})

    async def stream(self):
        fault, reply = self.plan.fault, self.reply
        before, words, after = self.wire.events(self.asked, self.plan, self.number)
        if not self.asked.extra.get("sse", True):
            return await reply.text(200, as_list(before + words + after))
        await reply.begin({"Content-Type": "text/event-stream; charset=utf-8", "X-Request-Id": f"fake-{self.number}"})
        if fault == "no-first-token":
            await reply.silence()
        for event in before:
            await reply.chunk(event)
        for index, event in enumerate(words):
            if index == MIDDLE and await self.middle():
                return
            await reply.pause(self.plan.delay)
            await reply.chunk(event)
            self.entry["words"] = index + 1
        if len(words) <= MIDDLE and await self.middle():
            return
        if fault == "absurd-usage":
            after = [event if b"usage" not in event else absurd_event(self.wire, event) for event in after]
        for event in after + [self.wire.end]:
            await reply.chunk(event)
        if fault == "double-end":
            for event in after + [self.wire.end]:
                await reply.chunk(event)
        self.entry["outcome"] = "done"
        await reply.end()

    async def middle(self):
        """The faults in the middle of a stream; whether the stream ends with them."""
        fault, reply = self.plan.fault, self.reply
        if fault == "stall":
            await reply.silence()
        if fault == "cut":
            self.entry["outcome"] = "cut"
            await reply.pause(0.05)
            raise Cut
        if fault == "clean-cut":
            self.entry["outcome"] = "cut"
            await reply.end()
            return True
        if fault == "malformed":
            await reply.chunk(b'data: {"id": "broken", "choi\n\n')
        if fault == "error-event":
            self.entry["outcome"] = "error"
            await reply.chunk(self.wire.in_band("made to fail in the middle"))
            await reply.end()
            return True
        if fault == "huge-chunk":
            _, words, _ = self.wire.events(self.asked, self.plan, self.number)
            if words:
                await reply.chunk(words[2].replace(b"w3", b"w3" + b"x" * HUGE, 1))
        return False


def absurd(value):
    """The same with every number of tokens negative."""
    if isinstance(value, dict):
        return {key: -5 if isinstance(item, int) and "oken" in key else absurd(item) for key, item in value.items()}
    return [absurd(item) for item in value] if isinstance(value, list) else value


def absurd_event(wire, event):
    lines = event.decode().split("\n")
    name = next((line[7:] for line in lines if line.startswith("event: ")), None)
    data = next(line[6:] for line in lines if line.startswith("data: "))
    return wire.frame(name, absurd(json.loads(data)))


def as_list(events):
    """Gemini streams a JSON list where no SSE is asked for."""
    return "[" + ",".join(event.decode().strip().removeprefix("data: ") for event in events) + "]"


class Reply:
    """The way back to whoever asked."""

    REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
               500: "Internal Server Error", 503: "Service Unavailable", 529: "Overloaded"}

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def raw(self, data):
        if self.writer.transport.is_closing() or self.reader.at_eof():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status, headers):
        lines = [f"HTTP/1.1 {status} {self.REASONS[status]}"] + [f"{name}: {value}" for name, value in headers.items()]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def text(self, status, text, headers=None):
        data = text.encode()
        await self.head(status, {"Content-Type": "application/json", "Content-Length": len(data)} | (headers or {}))
        await self.raw(data)

    async def json(self, status, value, headers=None):
        await self.text(status, json.dumps(value), headers)

    async def begin(self, headers):
        await self.head(200, headers | {"Transfer-Encoding": "chunked"})

    async def chunk(self, data):
        if data:
            await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self):
        await self.raw(b"0\r\n\r\n")

    async def pause(self, seconds):
        if seconds:
            await asyncio.sleep(seconds)

    async def silence(self):
        """Says nothing more until the other side goes away."""
        await self.reader.read(1)
        raise Cut


async def read_request(reader):
    """One request; None where there is none any more."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return method, target, headers, body


async def main():
    parent = os.getppid()
    providers = Providers()
    server = await asyncio.start_server(providers.connection, "127.0.0.1", 0, limit=16 * 1024 * 1024, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        while os.getppid() == parent:
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
