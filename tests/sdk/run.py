"""Runs the scripts of all SDKs, and compares what each has used with what it was billed."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FAKE = HERE.parent / "providers" / "serve.py"


class Direct:
    """The fake providers themselves."""

    def __init__(self, port):
        self.environment = {"SDK_BASE": f"http://127.0.0.1:{port}", "SDK_KEY": "any", "SDK_DIRECT": "1"}

    def for_sdk(self, _name):
        return self.environment

    def unbilled(self, _name, _used):
        return []

    def close(self):
        pass


def scripts(tools):
    """Every SDK that is installed, with the command that runs its script."""
    node = tools / "node" / "node_modules" / ".bin" / "node"
    for directory in sorted(tools.glob("py-*")):
        name, version = directory.name.removeprefix("py-").rsplit("-", 1)
        script = HERE / f"sdk_{name.removeprefix('google-')}.py"
        yield f"python-{name}-{version}", [sys.executable, script], {"PYTHONPATH": str(directory)}
    for directory in sorted(tools.glob("js-*")):
        name, version = directory.name.removeprefix("js-").rsplit("-", 1)
        script = HERE / f"sdk_{name.removeprefix('google-').removesuffix('-ai-sdk')}.mjs"
        yield f"node-{name}-{version}", [node, script], {"SDK_MODULES": str(directory / "node_modules")}


def call(command, environment):
    """What a script says: what it used, and what went wrong."""
    done = subprocess.run([str(part) for part in command], env=os.environ | environment, capture_output=True, text=True,
                          timeout=600)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failures = [f"{item['failed']}: {item['why']}" for item in said if "failed" in item]
    finished = [item for item in said if "ran" in item]
    if done.returncode or not finished:
        failures.append(f"ended with {done.returncode}: {done.stderr[-4000:]}")
    ran = finished[0]["ran"] if finished else 0
    return ran, [item for item in said if "usage" in item], failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", type=pathlib.Path, required=True)
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    given.tools = given.tools.resolve()
    fake = subprocess.Popen([sys.executable, str(FAKE)], stdout=subprocess.PIPE, text=True)
    port = int(fake.stdout.readline())
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="counterfoil-sdk-") as directory:
        if given.direct:
            side = Direct(port)
        else:
            from product import Product
            side = Product(port, pathlib.Path(directory))
        try:
            for name, command, environment in scripts(given.tools):
                if given.only not in name:
                    continue
                ran, used, failures = call(command, environment | side.for_sdk(name))
                failures += side.unbilled(name, used)
                print(f"{name:34} {ran:3} cases, {len(used):3} calls, {len(failures)} failures", flush=True)
                for failure in failures:
                    print("  " + failure.replace("\n", "\n  "), flush=True)
                wrong += len(failures)
            if not wrong and not given.direct:
                side.verify()
        finally:
            side.close()
            fake.kill()
            fake.wait()
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
