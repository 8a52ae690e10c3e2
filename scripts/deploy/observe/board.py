"""Puts rows of panels together to a dashboard: places, ids, variables, annotations."""

import copy

from .panels import DATASOURCE, EVERYTHING, GRID_COLUMNS, SCHEMA_VERSION


def dashboard(uid, title, description, variables, annotations, rows, links=()):
    """A dashboard as Grafana reads it from a file."""
    return {
        "uid": uid, "title": title, "description": description, "tags": ["redcast"],
        "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": True, "graphTooltip": 1,
        "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "",
        "links": list(links), "templating": {"list": list(variables)},
        "annotations": {"list": list(annotations)}, "panels": place(rows),
    }


def place(rows):
    """The panels of the rows from the top left to the bottom right, each with an id."""
    placed, top, number = [], 0, 0
    for given in rows:
        heading = copy.deepcopy(given)
        number += 1
        heading.update(id=number, gridPos={"x": 0, "y": top, "w": GRID_COLUMNS, "h": 1})
        inside = heading["panels"]
        bottom = _flow(inside, top + 1)
        for panel in inside:
            number += 1
            panel["id"] = number
        placed.append(heading)
        if heading["collapsed"]:
            top += 1
        else:
            # An open row's panels stand beside it in the file, a closed one's within it.
            heading["panels"] = []
            placed.extend(inside)
            top = bottom
    return placed


def _flow(panels, top):
    """Sets places line by line; answers where the next row may begin."""
    left, height = 0, 0
    for panel in panels:
        grid = panel["gridPos"]
        if left + grid["w"] > GRID_COLUMNS:
            left, top, height = 0, top + height, 0
        grid.update(x=left, y=top)
        left += grid["w"]
        height = max(height, grid["h"])
    return top + height


def datasource_variable():
    """Which Prometheus: every panel asks the one that is chosen here."""
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
            "current": {}, "hide": 0, "refresh": 1, "regex": "", "includeAll": False, "multi": False}


def label_variable(name, label, query, every=True, default=None):
    """A choice among the values of a label; `every` offers All, and begins with it."""
    current = {"text": ["All"], "value": ["$__all"]} if every else {"text": default, "value": default}
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "regex": "", "hide": 0,
        "includeAll": every, "multi": every, "allValue": EVERYTHING if every else None, "current": current,
    }


def annotation(name, colour, expr, title, text, at_value=False):
    """Marks on all panels; with `at_value` the series' values are the times, in milliseconds."""
    return {"name": name, "enable": True, "hide": False, "iconColor": colour, "datasource": DATASOURCE,
            "expr": expr, "titleFormat": title, "textFormat": text, "step": "60s", "useValueForTime": at_value}
