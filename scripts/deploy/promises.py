"""What the files of deploy/ say in numbers, for the tests that compare them."""

import re
import tomllib
from pathlib import Path

# For the last clients to answer their close frame: GOODBYE in crates/redcast/src/shutdown.rs.
GOODBYE = re.compile(r"const GOODBYE: Duration = Duration::from_secs\((\d+)\);")


def seconds(text):
    """A duration such as 45s or 2m."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def drain_seconds():
    """How long a gateway takes at most from SIGTERM to its end, as it is by default."""
    shutdown = tomllib.loads(Path("crates/redcast/src/defaults.toml").read_text())["shutdown"]
    goodbye = GOODBYE.search(Path("crates/redcast/src/shutdown.rs").read_text())
    return seconds(shutdown["accept_for"]) + seconds(shutdown["window"]) + int(goodbye[1])
