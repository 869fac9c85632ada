"""What a request is answered with: the same request gets the same answer, whatever the shape it is asked in."""

import re
from dataclasses import dataclass, field, replace

# After so many words of a stream the faults of its middle happen.
MIDDLE = 5
# Words of an answer, unless the request asks for another number.
WORDS = 12
# Tokens that a model which reasons spends on it.
REASONING = 7


@dataclass(frozen=True)
class Usage:
    """Tokens. `prompt` includes what was cached and what was written to a cache; `output` leaves reasoning out."""

    prompt: int
    output: int
    cached: int = 0
    written: int = 0
    written_long: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Asked:
    """A request, in whatever shape it came."""

    model: str
    stream: bool
    text: str
    most: int | None = None
    tool: tuple[str, dict] | None = None
    include_usage: bool = True
    extra: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The answer. `finish` is stop, length, tool or filter; without `usage` none is reported."""

    words: list[str]
    tool: tuple[str, str] | None
    finish: str
    usage: Usage | None
    delay: float
    fault: str


def fault_of(model: str, headers: dict, path: str) -> str:
    """The fault that a request asks for: `<model>--<fault>`, the header X-Fake-Fault, or /fault/<fault>/ in the path."""
    if "x-fake-fault" in headers:
        return headers["x-fake-fault"]
    in_path = re.match(r"/fault/([a-z0-9-]+)/", path)
    if in_path:
        return in_path[1]
    return model.split("--", 1)[1] if "--" in model else ""


def directive(text: str, name: str, otherwise: int) -> int:
    """`[[name 5]]` in the text of the request."""
    found = re.findall(r"\[\[" + name + r" (\d+)\]\]", text)
    return int(found[-1]) if found else otherwise


def plan(asked: Asked, fault: str) -> Plan:
    count = directive(asked.text, "words", WORDS)
    finish = "stop"
    if asked.most is not None and count > asked.most:
        count, finish = asked.most, "length"
    words = [f"w{number}" for number in range(1, count + 1)]
    tool = None
    if asked.tool:
        name, arguments = asked.tool
        words, finish, tool = [], "tool", (name, arguments)
    if fault.startswith("content-filter"):
        words, finish, tool = words[:MIDDLE], "filter", None
    prompt = max(1, len(asked.text.split()))
    usage = Usage(prompt=prompt, output=len(words) if tool is None else 9)
    if fault == "cached":
        usage = replace(usage, cached=prompt // 2)
    elif fault == "cache-write":
        usage = replace(usage, cached=prompt // 4, written=prompt // 4, written_long=prompt // 4)
    elif fault == "reasoning":
        usage = replace(usage, reasoning=REASONING)
    elif fault == "wrong-usage":
        usage = replace(usage, prompt=prompt * 10, output=usage.output * 1000)
    elif fault == "zero-usage":
        usage = Usage(prompt=0, output=0)
    elif fault == "no-usage":
        usage = None
    return Plan(words, tool, finish, usage, directive(asked.text, "delay", 0) / 1000, fault)


def texts(value) -> list[str]:
    """Every text a model reads in a part of a request."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    if isinstance(value, dict):
        return [text for key in ("content", "text", "parts", "output") for text in texts(value.get(key))]
    return []


def arguments_for(schema: dict) -> dict:
    """Arguments that fit a tool's schema, as far as texts go."""
    return {name: "Paris" for name in (schema or {}).get("properties", {})}
