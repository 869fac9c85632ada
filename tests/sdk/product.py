"""The program itself, on private servers, with the fake providers behind it; and what it has billed."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from decimal import ROUND_HALF_UP, Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "debug" / "counterfoil"
SCALE = 9
FUNDS = Decimal(1000)
# How often a key may ask at once.
BURST = 120
# Dollars per million tokens. What a model has no rate for costs as much as input, and reasoning as much as output.
RATES = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_long": "6"}
DIALECTS = {
    "openai": ("/openai/v1", ["gpt-fake", "embed-fake"]),
    "anthropic": ("/anthropic", ["claude-fake"]),
    "gemini": ("/gemini", ["gemini-fake"]),
}
FAULTS = ["400", "500", "503", "529", "429-retry", "cached", "cache-write", "reasoning", "error-event", "clean-cut"]


class Product:
    def __init__(self, port, directory):
        # Started by root, the private servers run as another user.
        directory.chmod(0o755)
        self.directory = directory / "ledger"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        self.base = f"http://{address}"
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "NATS_URL")}
        environment |= {"COUNTERFOIL_LOG__FILTER": "error", "COUNTERFOIL_GATEWAY__ATTEMPTS": "2",
                        "COUNTERFOIL_GATEWAY__BREAKER_FAILURES": "1000",
                        # More than an SDK's script asks with its key, and few enough to be met with another.
                        "COUNTERFOIL_LIMITS__KEY_PER_SECOND": "1", "COUNTERFOIL_LIMITS__KEY_BURST": str(BURST)}
        self.environment = environment
        self.up = subprocess.Popen([PROGRAM, "up", "--listen", address, "--data-dir", self.directory], env=environment,
                                   stdout=subprocess.PIPE, text=True)
        for line in self.up.stdout:
            if line.startswith("ctrl-C stops"):
                break
        self.token = self.run("token", "--tenant", "demo", "--role", "owner").strip()
        self.position = None
        self.set_up(port)

    def run(self, *arguments):
        command = [PROGRAM, *arguments, "--data-dir", self.directory]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, method, path, body=None, fine=()):
        request = urllib.request.Request(
            self.base + path, None if body is None else json.dumps(body).encode(), method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as response:
                self.position = response.headers.get("Counterfoil-Position") or self.position
                return json.load(response)
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            if json.loads(text).get("code") in fine:
                return None
            raise RuntimeError(f"{method} {path}: {error.code} {text}") from None

    def set_up(self, port):
        self.ask("POST", "/v1/assets", {"code": "USD", "scale": SCALE}, fine=("asset_exists",))
        self.ask("POST", "/v1/wallets", {"path": "sdk:empty", "asset": "USD"})
        prices = []
        for dialect, (prefix, models) in DIALECTS.items():
            for fault in ["", *FAULTS]:
                # A provider for each fault, because one that fails is left alone for a while.
                provider = f"fake-{dialect}-{fault}".strip("-")
                self.ask("PUT", f"/v1/providers/{provider}", {
                    "dialect": dialect, "base_url": f"http://127.0.0.1:{port}{prefix}", "credential": "the-providers-key"})
                for model in models:
                    model = f"{model}--{fault}" if fault else model
                    self.ask("PUT", f"/v1/models/{model}", {"routes": [{"provider": provider, "model": model}]})
                    prices.append({"provider": provider, "model": model, "asset": "USD", "rates": RATES})
        self.ask("POST", "/v1/prices/import", {"prices": prices})

    def for_sdk(self, name):
        """A wallet with money, and a program whose key may spend it."""
        # The provider that asked for a pause under the SDK before has had it by then.
        time.sleep(2)
        wallet = f"sdk:{name}"
        self.ask("POST", "/v1/wallets", {"path": wallet, "asset": "USD"})
        self.ask("POST", "/v1/transactions", {
            "postings": [{"from": "@world", "to": wallet, "amount": str(FUNDS), "asset": "USD"}]})
        application = self.ask("POST", "/v1/applications", {"name": name, "metadata": {"wallet": wallet}})
        keys = f"/v1/applications/{application['id']}/keys"
        key, hasty = (self.ask("POST", keys, {"scopes": ["execute"]})["key"] for _ in range(2))
        self.ask("GET", f"{keys}?after={self.position}&wait_ms=10000")
        return {"SDK_BASE": self.base, "SDK_KEY": key, "SDK_HASTY_KEY": hasty, "SDK_BURST": str(BURST)}

    def executions(self, wallet):
        found, more = [], ""
        while True:
            page = self.ask("GET", f"/v1/executions?wallet={wallet}&limit=100{more}")
            found += page["items"]
            if not page["next"]:
                return found
            more = f"&cursor={page['next']}"

    def unbilled(self, name, used):
        """What differs between what an SDK has used and what it was billed."""
        wallet = f"sdk:{name}"
        for _ in range(100):
            executions = self.executions(wallet)
            if len(executions) >= len(used) and not any(one["status"] == "running" for one in executions):
                break
            time.sleep(0.1)
        wrong = []
        expected = sorted((one["model"], one["status"], bill(one["usage"])) for one in used)
        exact = {key for key in expected if key[2] is not None}
        unsaid = {(one["model"], one["status"]) for one in used if one["usage"] is None}
        billed = sorted((one["model"], one["status"],
                         None if (one["model"], one["status"]) in unsaid else bill(one["usage"]))
                        for one in executions)
        for one in sorted(set(expected) | set(billed), key=str):
            if expected.count(one) != billed.count(one):
                wrong.append(f"{one}: used {expected.count(one)} times, billed {billed.count(one)} times")
        total = Decimal(0)
        for one in executions:
            cost = Decimal(one["cost"] or 0)
            total += cost
            if cost != cost_of(one["usage"]):
                wrong.append(f"{one['id']} of {one['usage']} costs {cost} and not {cost_of(one['usage'])}")
            if (one["model"], one["status"]) in {key[:2] for key in exact} and one["usage_source"] != "reported":
                wrong.append(f"{one['id']} was not billed as reported: {one['usage_source']}")
        balance = self.ask("GET", f"/v1/wallets/{wallet}/balance?after={self.position}")
        if Decimal(balance["held"]) or Decimal(balance["posted"]) != FUNDS - total:
            wrong.append(f"the wallet has {balance}, and {total} was billed")
        return wrong

    def verify(self):
        print(self.run("journal", "verify").strip())

    def close(self):
        self.up.send_signal(signal.SIGTERM)
        try:
            self.up.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()


def bill(usage):
    """Tokens in a form that can be compared: without those that there are none of."""
    return None if usage is None else tuple(sorted((kind, count) for kind, count in usage.items() if count))


def cost_of(usage):
    cost = sum(Decimal(RATES.get(kind, RATES["output"])) * count for kind, count in (usage or {}).items())
    return (cost / 1_000_000).quantize(Decimal(1).scaleb(-SCALE), ROUND_HALF_UP)
