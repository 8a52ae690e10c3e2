"""What the files of deploy/ say in numbers, for the tests that compare them."""

import re
import tomllib
from pathlib import Path


def seconds(text):
    """A duration such as 45s or 2m."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def drain_seconds():
    """How long a gateway takes at most from SIGTERM to its end, as it is by default.

    What the last clients need to answer their close frame is inside of the window.
    """
    shutdown = tomllib.loads(Path("crates/redcast/src/defaults.toml").read_text())["shutdown"]
    return seconds(shutdown["accept_for"]) + seconds(shutdown["window"])
