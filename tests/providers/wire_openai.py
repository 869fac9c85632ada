"""OpenAI: chat completions, responses, embeddings, models."""

import base64
import json
import struct

from plan import Asked, Plan, Usage, arguments_for, texts

CREATED = 1_760_000_000


def frame(name: str | None, value: dict | str) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def error(status: int, code: str, message: str) -> dict:
    kinds = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error",
             429: "rate_limit_error"}
    return {"error": {"message": message, "type": kinds.get(status, "server_error"), "param": None, "code": code}}


class Chat:
    """POST /chat/completions"""

    error = staticmethod(error)
    frame = staticmethod(frame)
    end = frame(None, "[DONE]")

    @staticmethod
    def read(body: dict, _model: str, _query: dict) -> Asked:
        messages = body["messages"]
        tool = None
        functions = [tool["function"] for tool in body.get("tools", []) if tool.get("type") == "function"]
        if functions and body.get("tool_choice") != "none" and messages[-1].get("role") != "tool":
            tool = (functions[0]["name"], json.dumps(arguments_for(functions[0].get("parameters"))))
        most = body.get("max_completion_tokens", body.get("max_tokens"))
        stream = bool(body.get("stream"))
        include = not stream or bool((body.get("stream_options") or {}).get("include_usage"))
        return Asked(body["model"], stream, " ".join(texts(messages)), most, tool, include)

    @staticmethod
    def usage(usage: Usage) -> dict:
        output = usage.output + usage.reasoning
        prompt_details = {"cached_tokens": usage.cached, "audio_tokens": 0}
        if usage.written or usage.written_long:
            prompt_details["cache_write_tokens"] = usage.written + usage.written_long
        return {
            "prompt_tokens": usage.prompt,
            "completion_tokens": output,
            "total_tokens": usage.prompt + output,
            "prompt_tokens_details": prompt_details,
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
        }

    FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls", "filter": "content_filter"}

    @classmethod
    def whole(cls, asked: Asked, plan: Plan, number: int) -> dict:
        message = {"role": "assistant", "content": " ".join(plan.words) if plan.tool is None else None, "refusal": None}
        if plan.tool:
            name, arguments = plan.tool
            call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            message["tool_calls"] = [call]
        answer = {
            "id": f"chatcmpl-{number}", "object": "chat.completion", "created": CREATED, "model": asked.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": cls.FINISH[plan.finish]}],
            "service_tier": "default", "system_fingerprint": "fp_fake",
        }
        if plan.usage:
            answer["usage"] = cls.usage(plan.usage)
        return answer

    @classmethod
    def events(cls, asked: Asked, plan: Plan, number: int):
        """The events before the words, those of the words, and those after them."""
        def chunk(delta: dict | None, finish: str | None = None, **more) -> bytes:
            choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
            value = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": CREATED,
                     "model": asked.model, "service_tier": "default", "system_fingerprint": "fp_fake",
                     "choices": choices}
            if asked.include_usage:
                value["usage"] = None
            return frame(None, value | more)

        before = [chunk({"role": "assistant", "content": "" if plan.tool is None else None, "refusal": None})]
        words = [chunk({"content": word if index == 0 else " " + word}) for index, word in enumerate(plan.words)]
        if plan.tool:
            name, arguments = plan.tool
            half = len(arguments) // 2
            call = {"index": 0, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}
            words = [chunk({"tool_calls": [call]})]
            words += [chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
                      for part in (arguments[:half], arguments[half:])]
        after = [chunk({}, cls.FINISH[plan.finish])]
        if plan.usage and asked.include_usage:
            after.append(chunk(None, usage=cls.usage(plan.usage)))
        return before, words, after

    @staticmethod
    def in_band(message: str) -> bytes:
        return frame(None, {"error": {"message": message, "type": "server_error", "param": None, "code": "server_error"}})


class Responses(Chat):
    """POST /responses"""

    end = b""

    @staticmethod
    def read(body: dict, _model: str, _query: dict) -> Asked:
        given = body["input"]
        items = given if isinstance(given, list) else [given]
        functions = [tool for tool in body.get("tools", []) if tool.get("type") == "function"]
        answered = any(isinstance(item, dict) and item.get("type") == "function_call_output" for item in items)
        tool = None
        if functions and body.get("tool_choice") != "none" and not answered:
            tool = (functions[0]["name"], json.dumps(arguments_for(functions[0].get("parameters"))))
        text = " ".join(texts(body.get("instructions")) + texts(items))
        return Asked(body["model"], bool(body.get("stream")), text, body.get("max_output_tokens"), tool)

    @staticmethod
    def usage(usage: Usage) -> dict:
        output = usage.output + usage.reasoning
        details = {"cached_tokens": usage.cached}
        if usage.written or usage.written_long:
            details["cache_write_tokens"] = usage.written + usage.written_long
        return {
            "input_tokens": usage.prompt, "input_tokens_details": details,
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.prompt + output,
        }

    @classmethod
    def response(cls, asked: Asked, plan: Plan, number: int, status: str, output: list) -> dict:
        incomplete = None
        if status == "incomplete":
            incomplete = {"reason": "max_output_tokens" if plan.finish == "length" else "content_filter"}
        return {
            "id": f"resp_{number}", "object": "response", "created_at": CREATED, "status": status, "error": None,
            "incomplete_details": incomplete, "instructions": None, "max_output_tokens": asked.most,
            "model": asked.model, "output": output, "parallel_tool_calls": True, "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "truncation": "disabled", "user": None, "metadata": {},
            "usage": cls.usage(plan.usage) if plan.usage and status in ("completed", "incomplete") else None,
        }

    @classmethod
    def item(cls, plan: Plan, number: int) -> dict:
        if plan.tool:
            name, arguments = plan.tool
            return {"id": f"fc_{number}", "type": "function_call", "status": "completed", "call_id": f"call_{number}",
                    "name": name, "arguments": arguments}
        part = {"type": "output_text", "text": " ".join(plan.words), "annotations": [], "logprobs": []}
        return {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}

    @staticmethod
    def status(plan: Plan) -> str:
        return "incomplete" if plan.finish in ("length", "filter") else "completed"

    @classmethod
    def whole(cls, asked: Asked, plan: Plan, number: int) -> dict:
        return cls.response(asked, plan, number, cls.status(plan), [cls.item(plan, number)])

    @classmethod
    def events(cls, asked: Asked, plan: Plan, number: int):
        count = iter(range(1_000_000))

        def event(name: str, **fields) -> bytes:
            return frame(name, {"type": name, "sequence_number": next(count)} | fields)

        item = cls.item(plan, number)
        at = {"item_id": item["id"], "output_index": 0}
        before = [event(f"response.{name}", response=cls.response(asked, plan, number, "in_progress", []))
                  for name in ("created", "in_progress")]
        if plan.tool:
            started = item | {"status": "in_progress", "arguments": ""}
            before.append(event("response.output_item.added", output_index=0, item=started))
            words = [event("response.function_call_arguments.delta", delta=item["arguments"], **at)]
            after = [event("response.function_call_arguments.done", arguments=item["arguments"], name=item["name"], **at)]
        else:
            text = " ".join(plan.words)
            empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            before.append(event("response.output_item.added", output_index=0,
                                item=item | {"status": "in_progress", "content": []}))
            before.append(event("response.content_part.added", content_index=0, part=empty, **at))
            words = [event("response.output_text.delta", content_index=0, logprobs=[],
                           delta=word if index == 0 else " " + word, **at) for index, word in enumerate(plan.words)]
            after = [
                event("response.output_text.done", content_index=0, text=text, logprobs=[], **at),
                event("response.content_part.done", content_index=0, part=item["content"][0], **at),
            ]
        after.append(event("response.output_item.done", output_index=0, item=item))
        status = cls.status(plan)
        after.append(event(f"response.{status}", response=cls.response(asked, plan, number, status, [item])))
        return before, words, after

    @staticmethod
    def in_band(message: str) -> bytes:
        return frame("error", {"type": "error", "sequence_number": 99, "code": "server_error", "message": message,
                               "param": None})


class Embeddings(Chat):
    """POST /embeddings"""

    @staticmethod
    def read(body: dict, _model: str, _query: dict) -> Asked:
        given = body["input"]
        given = given if isinstance(given, list) else [given]
        extra = {"inputs": len(given), "base64": body.get("encoding_format") == "base64"}
        return Asked(body["model"], False, " ".join(texts(given)), 0, extra=extra)

    @classmethod
    def whole(cls, asked: Asked, plan: Plan, _number: int) -> dict:
        vector = [0.25, -0.5, 1.0]
        value = base64.b64encode(struct.pack("<3f", *vector)).decode() if asked.extra["base64"] else vector
        data = [{"object": "embedding", "index": index, "embedding": value} for index in range(asked.extra["inputs"])]
        answer = {"object": "list", "data": data, "model": asked.model}
        if plan.usage:
            answer["usage"] = {"prompt_tokens": plan.usage.prompt, "total_tokens": plan.usage.prompt}
        return answer


def models() -> dict:
    data = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in ("gpt-fake", "gpt-other")]
    return {"object": "list", "data": data}
