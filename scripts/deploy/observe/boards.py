"""The dashboards as they are committed, and what their panels ask."""

import json
import re
from pathlib import Path

from . import promql

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "helm/redcast/files/dashboards"
# Beside GROUPING of PromQL these are the variables that Grafana itself knows.
GRAFANA = {"__rate_interval", "__range", "__interval"}


def load():
    """Each dashboard by its file's name."""
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels(board):
    """All panels but the rows, those in closed rows too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries(board):
    """(where, expression) of each panel and each annotation."""
    for panel in panels(board):
        for query in panel["targets"]:
            yield f"panel {panel['title']!r}, {query['refId']}", query["expr"]
    for note in board["annotations"]["list"]:
        yield f"annotation {note['name']!r}", note["expr"]


def variables(board):
    """The names of the dashboard's variables."""
    return {variable["name"] for variable in board["templating"]["list"]}


def unknown_variables(board, text):
    """Variables that a text uses and nobody has set."""
    used = re.findall(r"\$\{?(\w+)", text)
    return [name for name in used if name not in variables(board) | GRAFANA]


def filled_in(expr, rate_interval="1m", span="1h", instance=".*", namespace=".*"):
    """The expression as Grafana would send it with All chosen."""
    return promql.filled_in(expr, {
        "__rate_interval": rate_interval, "__range": span, "__interval": rate_interval,
        "job": "redcast", "collector": "redcast-producer", "namespace": namespace, "instance": instance,
    })
