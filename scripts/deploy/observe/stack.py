"""The topology of scripts/up-local on free ports, for as long as a check needs it.

Variables: GATEWAY_BIN, whose folder has to hold the collector's program too.
"""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from .programs import ROOT, gateway_binary

SCRAPE_SECONDS = 1
STOP_SECONDS = 20


@contextlib.contextmanager
def running():
    """Starts all of it; answers where everything is."""
    environment = {
        **os.environ, "BIN": str(Path(gateway_binary()).resolve().parent),
        "UP_LOCAL_PORTS": "free", "UP_LOCAL_SCRAPE": f"{SCRAPE_SECONDS}s",
    }
    process = subprocess.Popen([ROOT / "scripts/up-local"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        # It prints this line when all are ready, and none when it gives up.
        line = process.stdout.readline()
        if not line:
            raise SystemExit("scripts/up-local did not start; its words stand above")
        yield json.loads(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOP_SECONDS)
