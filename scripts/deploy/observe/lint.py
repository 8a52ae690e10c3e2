"""The rules that every dashboard keeps, but for its metrics (those are coverage.py's)."""

import re

from . import boards, promql
from .panels import GRID_COLUMNS, SCHEMA_VERSION

UIDS = {"operator.json": "redcast-operator", "business.json": "redcast-business"}
# Of Grafana's units those that we use: an unknown one is shown as a plain number, silently.
UNITS = {"none", "short", "percentunit", "bytes", "Bps", "s", "eps", "mps", "cps", "rps", "reqps"}
RANGES = {"$__rate_interval", "$__range"}
CHOICES = ("job", "namespace", "instance")
FAST = re.compile(r"\b(rate|irate|increase|delta|changes)\s*\(")


def faults(name, board):
    """A sentence for each rule that the dashboard breaks."""
    yield from _frame(name, board)
    yield from _ids(board)
    yield from _places(board)
    for panel in boards.panels(board):
        yield from _panel(panel)
    for where, expr in boards.queries(board):
        for complaint in _query(board, expr):
            yield f"{where}: {complaint}"


def _frame(name, board):
    if board.get("uid") != UIDS.get(name):
        yield f"its uid is {board.get('uid')!r}: links and bookmarks need {UIDS.get(name)!r}"
    if board.get("schemaVersion") != SCHEMA_VERSION:
        yield f"schemaVersion is {board.get('schemaVersion')}, not {SCHEMA_VERSION}"
    for key in ("__inputs", "__requires", "id"):
        if key in board:
            yield f"has {key!r}, which a provisioned dashboard must not"
    lacking = [choice for choice in ("datasource", *CHOICES) if choice not in boards.variables(board)]
    if lacking:
        yield f"has no variable {', '.join(lacking)}"
    for variable in board["templating"]["list"]:
        if variable["name"] in ("namespace", "instance") and variable.get("allValue") != ".*":
            yield f"variable {variable['name']}: All is not '.*', so a series without the label would be left out"


def _ids(board):
    seen = set()
    for panel in [*board["panels"], *(inner for row in board["panels"] for inner in row.get("panels", []))]:
        if panel["id"] in seen:
            yield f"id {panel['id']} is there twice, at {panel['title']!r}"
        seen.add(panel["id"])


def _places(board):
    """Panels in a closed row have places of their own, as they appear only when it is opened."""
    yield from _overlaps(board["panels"])
    for row in board["panels"]:
        yield from _overlaps(row.get("panels", []))


def _overlaps(panels):
    taken = {}
    for panel in panels:
        grid = panel["gridPos"]
        if grid["x"] + grid["w"] > GRID_COLUMNS:
            yield f"{panel['title']!r} is beyond the right edge"
        columns, lines = range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])
        cells = [(x, y) for x in columns for y in lines]
        over = {taken[cell] for cell in cells if cell in taken}
        yield from (f"{panel['title']!r} overlaps {other!r}" for other in sorted(over))
        taken.update(dict.fromkeys(cells, panel["title"]))


def _panel(panel):
    where = f"panel {panel['title']!r}"
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit not in UNITS:
        yield f"{where}: its unit is {unit!r}, none of {', '.join(sorted(UNITS))}"
    description = panel.get("description", "")
    if len(description) < 8 or not description.endswith("."):
        yield f"{where}: no sentence describes it"
    if not panel["targets"]:
        yield f"{where}: asks nothing"
    for part in (panel, *panel["targets"]):
        if part.get("datasource", {}).get("uid") != "${datasource}":
            yield f"{where}: its data source is not ${{datasource}}"


def _query(board, expr):
    yield from (f"${name} is no variable of this dashboard" for name in boards.unknown_variables(board, expr))
    yield from (f"{name} has no matchers" for name in promql.bare_names(expr))
    if FAST.search(expr) and not promql.ranges(expr):
        yield "a rate without a range"
    yield from (f"range [{found}] is none of {', '.join(sorted(RANGES))}" for found in promql.ranges(expr)
                if found not in RANGES)
    for selector in promql.selectors(expr):
        labels = [label for label, _, _ in selector.matchers]
        yield from (f"{selector.name} is not chosen by {label}" for label in ("job", "namespace")
                    if label not in labels)
