"""What the scripts of the Python SDKs share: where to call, and what they say of each call."""

import importlib
import json
import os
import traceback

BASE = os.environ["SDK_BASE"]
KEY = os.environ["SDK_KEY"]
# Whether the fake provider is called itself: nothing is metered there, and nothing mended.
DIRECT = os.environ.get("SDK_DIRECT") == "1"
# A key with which too much is asked, and how often a key may ask at once.
HASTY = os.environ.get("SDK_HASTY_KEY", "")
BURST = int(os.environ.get("SDK_BURST", "0"))
# A wallet without money.
EMPTY = {"Counterfoil-Wallet": "sdk:empty"}
ANSWER = " ".join(f"w{number}" for number in range(1, 13))
PARIS = {"city": "Paris"}

requests = []


def counting_client():
    """An HTTP client that counts its requests. Old and new SDKs are built on httpx and its successor."""
    for name in ("httpx2", "httpx"):
        try:
            httpx = importlib.import_module(name)
        except ImportError:
            continue
        return httpx.Client(event_hooks={"request": [requests.append]}, timeout=60)
    raise RuntimeError("there is no httpx")


def counted(call):
    """The result of a call, with the number of requests that it made."""
    requests.clear()
    result = call()
    return result, len(requests)


def used(model, status="completed", **usage):
    """Says what a call must have been billed for; without tokens, whatever they were."""
    print(json.dumps({"model": model, "status": status, "usage": usage or None}), flush=True)


def raised(kind, call):
    """The error of a call, which must be of this kind."""
    try:
        result = call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


def same(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def run(cases):
    failed = 0
    for case in cases:
        try:
            case()
        except Exception:
            failed += 1
            print(json.dumps({"failed": case.__name__, "why": traceback.format_exc()}), flush=True)
    print(json.dumps({"ran": len(cases), "failures": failed}), flush=True)
