"""Anthropic: messages and count_tokens."""

import json

from plan import Asked, Plan, Usage, arguments_for, texts


def frame(name: str, value: dict) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()


class Messages:
    """POST /messages"""

    frame = staticmethod(frame)
    end = b""
    FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "filter": "refusal"}

    @staticmethod
    def error(status: int, _code: str, message: str) -> dict:
        kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error",
                 429: "rate_limit_error", 529: "overloaded_error"}
        return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message},
                "request_id": "req_fake"}

    @staticmethod
    def read(body: dict, _model: str, _query: dict) -> Asked:
        messages = body["messages"]
        answered = any(isinstance(part, dict) and part.get("type") == "tool_result"
                       for part in (messages[-1]["content"] if isinstance(messages[-1]["content"], list) else []))
        tool = None
        if body.get("tools") and (body.get("tool_choice") or {}).get("type") != "none" and not answered:
            first = body["tools"][0]
            tool = (first["name"], arguments_for(first.get("input_schema")))
        text = " ".join(texts(body.get("system")) + texts(messages))
        return Asked(body["model"], bool(body.get("stream")), text, body["max_tokens"], tool)

    @staticmethod
    def usage(usage: Usage, output: int | None = None) -> dict:
        created = usage.written + usage.written_long
        return {
            "input_tokens": max(0, usage.prompt - usage.cached - created),
            "cache_creation_input_tokens": created,
            "cache_read_input_tokens": usage.cached,
            "cache_creation": {"ephemeral_5m_input_tokens": usage.written,
                               "ephemeral_1h_input_tokens": usage.written_long},
            "output_tokens": usage.output + usage.reasoning if output is None else output,
            "service_tier": "standard",
        }

    @classmethod
    def message(cls, asked: Asked, number: int, content: list, finish: str | None, usage: dict | None) -> dict:
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": asked.model,
                   "content": content, "stop_reason": finish, "stop_sequence": None}
        return message if usage is None else message | {"usage": usage}

    @classmethod
    def whole(cls, asked: Asked, plan: Plan, number: int) -> dict:
        if plan.tool:
            name, arguments = plan.tool
            content = [{"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}]
        else:
            content = [{"type": "text", "text": " ".join(plan.words)}]
        usage = cls.usage(plan.usage) if plan.usage else None
        return cls.message(asked, number, content, cls.FINISH[plan.finish], usage)

    @classmethod
    def events(cls, asked: Asked, plan: Plan, number: int):
        def event(name: str, **fields) -> bytes:
            return frame(name, {"type": name} | fields)

        opening = cls.usage(plan.usage, output=min(1, plan.usage.output)) if plan.usage else None
        before = [event("message_start", message=cls.message(asked, number, [], None, opening))]
        if plan.tool:
            name, arguments = plan.tool
            block = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}
            text = json.dumps(arguments)
            deltas = [{"type": "input_json_delta", "partial_json": part}
                      for part in ("", text[: len(text) // 2], text[len(text) // 2 :])]
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": word if index == 0 else " " + word}
                      for index, word in enumerate(plan.words)]
        before += [event("content_block_start", index=0, content_block=block), event("ping")]
        words = [event("content_block_delta", index=0, delta=delta) for delta in deltas]
        closing = {"delta": {"stop_reason": cls.FINISH[plan.finish], "stop_sequence": None}}
        if plan.usage:
            closing["usage"] = {"output_tokens": plan.usage.output + plan.usage.reasoning}
        after = [event("content_block_stop", index=0), event("message_delta", **closing), event("message_stop")]
        return before, words, after

    @staticmethod
    def in_band(message: str) -> bytes:
        return frame("error", {"type": "error", "error": {"type": "overloaded_error", "message": message}})


class CountTokens(Messages):
    """POST /messages/count_tokens"""

    @staticmethod
    def read(body: dict, _model: str, _query: dict) -> Asked:
        text = " ".join(texts(body.get("system")) + texts(body["messages"]))
        return Asked(body["model"], False, text)

    @classmethod
    def whole(cls, _asked: Asked, plan: Plan, _number: int) -> dict:
        return {"input_tokens": plan.usage.prompt if plan.usage else 0}
