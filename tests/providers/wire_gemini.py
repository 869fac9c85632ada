"""Gemini: generateContent, streamGenerateContent, countTokens."""

import json

from plan import Asked, Plan, Usage, arguments_for, texts

STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
          500: "INTERNAL", 503: "UNAVAILABLE", 529: "UNAVAILABLE"}


class Generate:
    """POST /models/{model}:generateContent"""

    end = b""
    FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "filter": "SAFETY"}

    @staticmethod
    def frame(_name: str | None, value: dict) -> bytes:
        return f"data: {json.dumps(value)}\r\n\r\n".encode()

    @staticmethod
    def error(status: int, code: str, message: str) -> dict:
        details = []
        if code == "retry":
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]
        return {"error": {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN"), "details": details}}

    @staticmethod
    def read(body: dict, model: str, query: dict) -> Asked:
        contents = body["contents"]
        contents = contents if isinstance(contents, list) else [contents]
        functions = [function for tool in body.get("tools", []) for function in tool.get("functionDeclarations", [])]
        answered = any("functionResponse" in part for part in contents[-1].get("parts", []))
        tool = None
        if functions and not answered:
            schema = functions[0].get("parameters") or functions[0].get("parametersJsonSchema") or {}
            tool = (functions[0]["name"], arguments_for(schema))
        text = " ".join(texts(body.get("systemInstruction")) + texts(contents))
        config = body.get("generationConfig") or {}
        return Asked(model, query["method"] == "streamGenerateContent", text, config.get("maxOutputTokens"), tool,
                     extra={"sse": query.get("alt") == "sse"})

    @staticmethod
    def usage(usage: Usage) -> dict:
        meta = {"promptTokenCount": usage.prompt, "candidatesTokenCount": usage.output,
                "totalTokenCount": usage.prompt + usage.output + usage.reasoning,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}]}
        if usage.cached:
            meta["cachedContentTokenCount"] = usage.cached
        if usage.reasoning:
            meta["thoughtsTokenCount"] = usage.reasoning
        return meta

    @classmethod
    def part(cls, asked: Asked, number: int, parts: list, finish: str | None, usage: Usage | None) -> dict:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = cls.FINISH[finish]
        value = {"candidates": [candidate], "modelVersion": asked.model, "responseId": f"resp-{number}"}
        return value if usage is None else value | {"usageMetadata": cls.usage(usage)}

    @staticmethod
    def calls(plan: Plan) -> list:
        name, arguments = plan.tool
        return [{"functionCall": {"name": name, "args": arguments}}]

    @classmethod
    def whole(cls, asked: Asked, plan: Plan, number: int) -> dict:
        parts = cls.calls(plan) if plan.tool else [{"text": " ".join(plan.words)}]
        return cls.part(asked, number, parts, plan.finish, plan.usage)

    @classmethod
    def events(cls, asked: Asked, plan: Plan, number: int):
        def event(parts: list, finish: str | None, usage: Usage | None) -> bytes:
            return cls.frame(None, cls.part(asked, number, parts, finish, usage))

        if plan.tool:
            return [], [], [event(cls.calls(plan), plan.finish, plan.usage)]
        words = []
        for index, word in enumerate(plan.words):
            # Each part reports what there was so far; the last report counts.
            so_far = Usage(plan.usage.prompt, min(index + 1, plan.usage.output)) if plan.usage else None
            words.append(event([{"text": word if index == 0 else " " + word}], None, so_far))
        return [], words, [event([{"text": ""}], plan.finish, plan.usage)]

    @classmethod
    def in_band(cls, message: str) -> bytes:
        return cls.frame(None, cls.error(503, "unavailable", message))


class CountTokens(Generate):
    """POST /models/{model}:countTokens"""

    @classmethod
    def whole(cls, _asked: Asked, plan: Plan, _number: int) -> dict:
        return {"totalTokens": plan.usage.prompt if plan.usage else 0}


def models() -> dict:
    return {"models": [{"name": "models/gemini-fake", "version": "1", "displayName": "Fake",
                        "supportedGenerationMethods": ["generateContent", "countTokens"]}]}
