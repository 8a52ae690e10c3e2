"""Starts a gateway and a collector on free ports and reads their metrics.

Variables: GATEWAY_BIN and PRODUCER_BIN, the programs (target/debug/redcast, …-producer).
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_SECONDS = 20


def gateway_binary():
    return os.environ.get("GATEWAY_BIN") or str(ROOT / "target/debug/redcast")


def producer_binary():
    return os.environ.get("PRODUCER_BIN") or str(ROOT / "target/debug/redcast-producer")


def metrics():
    """The /metrics of a gateway and of a collector that were just started, in this order."""
    with contextlib.ExitStack() as started:
        folder = Path(started.enter_context(tempfile.TemporaryDirectory()))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REDCAST_")}
        gateway = started.enter_context(_running(
            [gateway_binary(), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
            folder, {**clean, "REDCAST_LOG__FORMAT": "json"}, "serving"))
        socket = folder / "redis.sock"
        started.enter_context(_running(
            ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
            folder, clean, None, socket))
        collector = started.enter_context(_running(
            [producer_binary(), "--log-format", "json", "--redis-url", f"unix://{socket}", "collect", "--site", "*",
             "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"], folder, clean, "collecting"))
        return fetched(f"http://{gateway['admin']}/metrics"), fetched(f"http://{collector['admin']}/metrics")


def missing(tool, consequence):
    """With CI set the fault that a tool is not there; else a note, which scripts/deploy/run tells."""
    if os.environ.get("CI"):
        yield f"{tool} is not there"
    else:
        print(f"note: {tool} is not there, so {consequence}")


def fetched(url):
    """The text at an address."""
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode()


@contextlib.contextmanager
def _running(command, folder, environment, message, file=None):
    """A process until the end of the block; answers its log line with that message, if one is named."""
    log = folder / (Path(command[0]).name + ".log")
    if not shutil.which(command[0]):
        raise SystemExit(f"{command[0]} is not there; cargo build brings ours, scripts/install-deploy-tools the others")
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=environment)
    try:
        yield _awaited(process, log, message, file)
    finally:
        process.kill()
        process.wait()


def _awaited(process, log, message, file):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if file and file.exists():
            return None
        for line in log.read_text(encoding="utf-8").splitlines() if message else ():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("message") == message:
                    return entry
        time.sleep(0.05)
    raise SystemExit(f"{process.args[0]} did not start:\n{log.read_text(encoding='utf-8')}")
