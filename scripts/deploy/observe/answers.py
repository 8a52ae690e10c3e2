"""Which queries must have an answer from a healthy system under traffic, and which rightly have none."""

import re

from . import boards, promql
from .prometheus import numbers

# (dashboard, panel or annotation, its query) without an answer here, and why. Whatever answers
# all the same is told, so that the list stays true.
EMPTY = {
    ("operator.json", "Connections per instance", "B"): "the gateways are nearly empty",
    ("operator.json", "What gathering and compression save", "B"): "no endpoint of analytics.toml says deflate",
    ("operator.json", "Time of an answer", "A"): "there is no authentication service to ask",
    ("operator.json", "Time of an answer", "B"): "there is no authentication service to ask",
    ("operator.json", "Time of an answer", "C"): "there is no authentication service to ask",
    ("operator.json", "Drains", ""): "nobody drains",
    ("operator.json", "Alerts", ""): "nothing is wrong",
    ("business.json", "Page views", "B"): "this Prometheus was not there a day ago",
    ("business.json", "Page views", "C"): "this Prometheus was not there a week ago",
    ("business.json", "Watching", "B"): "this Prometheus was not there a day ago",
}
# Variables without a value here.
WITHOUT_VALUES = {"namespace": "nobody gives a namespace outside of Kubernetes"}
LABEL_VALUES = re.compile(r"label_values\((.*), (\w+)\)$")


def questions():
    """(dashboard, panel or annotation, query's letter, expression) of all of them."""
    for name, board in boards.load().items():
        for panel in boards.panels(board):
            for query in panel["targets"]:
                yield name, panel["title"], query["refId"], query["expr"]
        for note in board["annotations"]["list"]:
            yield name, note["name"], "", note["expr"]


def of_panels(prometheus, rate_interval, span):
    """A sentence for each question that has no answer, or has one in spite of the list."""
    asked = set()
    for name, title, letter, expr in questions():
        asked.add((name, title, letter))
        reason = EMPTY.get((name, title, letter))
        answer = numbers(prometheus.query(boards.filled_in(expr, rate_interval, span)))
        if not answer and not reason:
            yield f"{name}: {title!r} {letter}: no answer to {expr}"
        if answer and reason:
            yield f"{name}: {title!r} {letter}: answers, although {reason}"
    yield from (f"{' '.join(one)}: is listed as without an answer, and does not exist"
                for one in sorted(set(EMPTY) - asked))


def of_variables(prometheus):
    """A sentence for each variable that offers nothing."""
    for name, board in boards.load().items():
        for variable in board["templating"]["list"]:
            found = LABEL_VALUES.match(variable.get("definition", ""))
            if not found:
                continue
            selector, label = boards.filled_in(found[1]), found[2]
            if not prometheus.label_values(label, selector) and variable["name"] not in WITHOUT_VALUES:
                yield f"{name}: variable {variable['name']} offers nothing"


def of_alerts(prometheus, alerts):
    """A sentence for each alert that was not taken, asks for nothing that there is, or fires.

    Or is about to: most wait a minute and more, which is longer than anybody asks here. What
    is pending while things start has passed before the patience ends.
    """
    loaded = {rule["name"]: rule for rule in prometheus.rules() if rule["type"] == "alerting"}
    for name, alert in alerts.items():
        rule = loaded.get(name)
        if rule is None:
            yield f"{name}: Prometheus has not loaded it"
            continue
        if rule["health"] != "ok":
            yield f"{name}: {rule['health']}: {rule.get('lastError')}"
        if rule["state"] != "inactive":
            yield f"{name}: is {rule['state']}, although nothing is wrong: {rule['alerts']}"
        # Not the expression, which rightly has no answer, but all that it is made of.
        yield from (f"{name}: no series is {selector.text}" for selector in promql.selectors(alert["expr"])
                    if not prometheus.query(selector.text))
