"""Panels of a Grafana dashboard as small functions, and where they stand.

The dashboards are made of these, so that what is the same everywhere (the data source, the
look of a line, the grid) is said once, and a change of one panel is a change of a few lines.
"""

# Grafana raises a dashboard to its own version when it opens it. Pinned, so that a file
# always says what it was written for: the 11.1 of docker-compose.yml.
SCHEMA_VERSION = 39
GRID_COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# A matcher of everything also lets through series without the label, so that a dashboard
# works where there is no namespace.
EVERYTHING = ".*"

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"


def target(expr, legend="", form="time_series", instant=False):
    """A query; its refId comes with its place in the panel."""
    return {
        "datasource": DATASOURCE, "expr": expr, "legendFormat": legend or "__auto",
        "format": form, "instant": instant, "range": not instant,
    }


def thresholds(*steps):
    """Colours from values on: thresholds((None, GREEN), (0.8, RED))."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _panel(kind, title, description, unit, targets, size, defaults=None, options=None, overrides=()):
    for place, query in enumerate(targets):
        query["refId"] = chr(ord("A") + place)
    width, height = size
    return {
        "type": kind, "title": title, "description": description, "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height}, "targets": list(targets), "options": options or {},
        "fieldConfig": {"defaults": {"unit": unit, **(defaults or {})}, "overrides": list(overrides)},
    }


def stat(title, description, unit, expr, colours=((None, BLUE),), words=None, empty="–", size=(4, 4), **more):
    """One number. `words` maps values to what is shown instead: {0: ("down", RED)}."""
    defaults = {"thresholds": thresholds(*colours), "color": {"mode": "thresholds"}, "noValue": empty, **more}
    if words:
        defaults["mappings"] = [_words(words)]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value", "graphMode": "area" if not words else "none", "textMode": "value",
        "justifyMode": "center", "orientation": "auto",
    }
    return _panel("stat", title, description, unit, [target(expr)], size, defaults, options)


def _words(words):
    shown = {str(value): {"text": text, "color": colour, "index": place}
             for place, (value, (text, colour)) in enumerate(words.items())}
    return {"type": "value", "options": shown}


def lines(title, description, unit, *queries, stacked=False, size=(8, 8), overrides=(), floor=0, **more):
    """Lines over time; a query is (expression, legend)."""
    custom = {
        "drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    defaults = {"custom": custom, "color": {"mode": "palette-classic"}, **more}
    if floor is not None:
        defaults["min"] = floor
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"],
                   "showLegend": True, "sortBy": "Last *", "sortDesc": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, unit, [target(*query) for query in queries], size,
                  defaults, options, overrides)


def limit_line(legend):
    """Draws the series of that legend as a dashed red line that no other is stacked on."""
    return {"matcher": {"id": "byName", "options": legend}, "properties": [
        {"id": "custom.stacking", "value": {"mode": "none"}},
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
        {"id": "custom.fillOpacity", "value": 0},
        {"id": "color", "value": {"mode": "fixed", "fixedColor": RED}},
    ]}


def downwards(legend):
    """Draws the series of that legend below the axis."""
    return {"matcher": {"id": "byName", "options": legend},
            "properties": [{"id": "custom.transform", "value": "negative-Y"}]}


def states(title, description, words, *queries, size=(12, 6)):
    """Coloured bars over time, one for each series; `words` as for a stat."""
    defaults = {"mappings": [_words(words)], "color": {"mode": "thresholds"},
                "thresholds": thresholds((None, GREY)), "custom": {"fillOpacity": 70, "lineWidth": 0}}
    options = {"mergeValues": True, "showValue": "never", "rowHeight": 0.8,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    return _panel("state-timeline", title, description, "none", [target(*query) for query in queries],
                  size, defaults, options)


def heatmap(title, description, unit, expr, size=(12, 8)):
    """The buckets of a histogram over time: the darker, the more fell into it."""
    options = {
        "calculate": False, "cellGap": 1, "yAxis": {"axisPlacement": "left", "unit": unit},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
        "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"}, "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
    }
    return _panel("heatmap", title, description, unit, [target(expr, "{{le}}", "heatmap")], size, None, options)


def table(title, description, unit, expr, columns, value, size=(12, 6)):
    """The newest value of each series; `columns` are the labels that are shown, in order."""
    hidden = {"Time": True, "__name__": True, "job": True}
    organize = {"excludeByName": hidden, "indexByName": {name: at for at, name in enumerate(columns)},
                "renameByName": {"Value": value}}
    panel = _panel("table", title, description, unit, [target(expr, form="table", instant=True)], size,
                   {"custom": {"align": "left"}}, {"showHeader": True, "cellHeight": "sm"})
    panel["transformations"] = [{"id": "organize", "options": organize}]
    return panel


def row(title, *panels, collapsed=False):
    """A row and its panels; collapsed, Grafana asks their queries when it is opened."""
    return {"type": "row", "title": title, "collapsed": collapsed, "panels": list(panels)}
