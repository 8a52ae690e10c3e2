"""Draws a dashboard's panels from a Prometheus' answers, where its file places them.

It is no Grafana: colours and letters are its own. What it shows is whether each panel has
something to show, and whether that can be read.
"""

import itertools
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates  # noqa: E402
import matplotlib.pyplot as pyplot  # noqa: E402
import numpy  # noqa: E402

from .panels import GRID_COLUMNS  # noqa: E402

INCHES_WIDE, INCHES_PER_LINE = 17, 0.34
NAMED = {"red": "#d64550", "green": "#2e9e5b", "yellow": "#d9a300", "blue": "#3069b3", "text": "#777777"}
SUFFIXES = {"eps": " evt/s", "mps": " msg/s", "cps": " /s", "rps": " reads/s", "reqps": " req/s", "Bps": "B/s",
            "bytes": "B", "s": " s", "percentunit": " %", "none": "", "short": ""}
LEGEND_LINES = 5


def draw(rows, ask, path):
    """Draws rows (a heading and its panels) one below the other; `ask(panel, query)` answers series."""
    height = sum(1 + _bottom(panels) for _, panels in rows)
    figure = pyplot.figure(figsize=(INCHES_WIDE, height * INCHES_PER_LINE), facecolor="white")
    top = 0
    for title, panels in rows:
        figure.text(0.004, 1 - (top + 0.65) / height, title, fontsize=11, weight="bold", color="#333333")
        upper = min(panel["gridPos"]["y"] for panel in panels)
        for panel in panels:
            grid = panel["gridPos"]
            _panel(figure, panel, (grid["x"], top + 1 + grid["y"] - upper, grid["w"], grid["h"]), height, ask)
        top += 1 + _bottom(panels)
    figure.savefig(path, dpi=68)
    pyplot.close(figure)


def _bottom(panels):
    upper = min(panel["gridPos"]["y"] for panel in panels)
    return max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) - upper


def _panel(figure, panel, place, lines, ask):
    x, y, width, height = place
    left, right = (x + 1.0) / GRID_COLUMNS, (x + width - 0.25) / GRID_COLUMNS
    plain = panel["type"] in ("stat", "table")
    upper, lower = 1 - (y + 1.1) / lines, 1 - (y + height - (0.2 if plain else 0.9)) / lines
    axes = figure.add_axes((left, lower, right - left, upper - lower))
    axes.set_title(panel["title"], fontsize=8.5, loc="left", color="#222222", pad=4)
    axes.tick_params(labelsize=6.5, length=2, colors="#555555")
    for side in axes.spines.values():
        side.set_color("#cccccc")
    answers = [(query, ask(panel, query)) for query in panel["targets"]]
    DRAWERS[panel["type"]](axes, panel, answers)


def _stat(axes, panel, answers):
    axes.axis("off")
    values = [value for _, series in answers for one in series for value in _points(one)[1] if not math.isnan(value)]
    defaults = panel["fieldConfig"]["defaults"]
    if not values:
        axes.text(0.5, 0.4, defaults["noValue"], ha="center", va="center", fontsize=20, color=NAMED["text"])
        return
    text, colour = _shown(values[-1], defaults)
    axes.text(0.5, 0.42, text, ha="center", va="center", fontsize=20, color=NAMED.get(colour, colour))


def _shown(value, defaults):
    for mapping in defaults.get("mappings", []):
        word = mapping["options"].get(f"{value:g}")
        if word:
            return word["text"], word["color"]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    return _number(value, defaults["unit"], defaults.get("decimals")), steps[-1]["color"]


def _number(value, unit, decimals=None):
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        value *= 100
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    scale = ""
    for scale in ("", " k", " M", " G"):
        if abs(value) < 1000 or scale == " G":
            break
        value /= 1000
    digits = f"{value:.{decimals}f}" if decimals is not None and not scale else f"{value:.3g}"
    return f"{digits}{scale}{SUFFIXES[unit]}"


def _table(axes, panel, answers):
    axes.axis("off")
    organize = panel["transformations"][0]["options"]
    series = answers[0][1]
    columns = [name for name in organize["indexByName"] if any(name in one["metric"] for one in series)]
    shown = axes.table([[one["metric"].get(name, "") for name in columns] for one in series], colLabels=columns,
                       loc="upper left", cellLoc="left", edges="horizontal")
    shown.auto_set_font_size(False)
    shown.set_fontsize(8)


def _lines(axes, panel, answers):
    defaults = panel["fieldConfig"]["defaults"]
    overrides = {one["matcher"]["options"]: {p["id"]: p["value"] for p in one["properties"]}
                 for one in panel["fieldConfig"]["overrides"]}
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    drawn, base, colours = [], None, itertools.cycle(matplotlib.colormaps["tab10"].colors)
    for query, series in answers:
        for one in series:
            times, values = _points(one)
            name = _legend(query["legendFormat"], one["metric"])
            special, last = overrides.get(name, {}), values[-1] if len(values) else math.nan
            if special.get("custom.transform") == "negative-Y":
                values = -values
            if "custom.lineStyle" in special:
                handle, = axes.plot(times, values, "--", color=NAMED["red"], linewidth=1)
            elif stacked:
                below = base if base is not None and len(base) == len(values) else numpy.zeros(len(values))
                colour = next(colours)
                base = below + numpy.nan_to_num(values)
                handle = axes.fill_between(times, below, base, color=colour, alpha=0.5, linewidth=0.6)
            else:
                handle, = axes.plot(times, values, color=next(colours), linewidth=1.1)
            drawn.append((last, handle, name))
    _finish(axes, panel, drawn)


def _finish(axes, panel, drawn):
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    axes.grid(True, color="#eeeeee", linewidth=0.6)
    if "min" in defaults:
        # Lines that are 0 throughout lie at the bottom, not in the middle.
        axes.set_ylim(0, axes.dataLim.y1 * 1.1 if axes.dataLim.y1 > 0 else 1)
    axes.yaxis.set_major_formatter(lambda value, _: _number(value, unit))
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
    _clock(axes)
    # As Grafana sorts it here: what is most now stands first.
    drawn.sort(key=lambda one: -1 if math.isnan(one[0]) else one[0], reverse=True)
    if not drawn:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", fontsize=8, color=NAMED["text"])
    else:
        names = [f"{name}  {_number(last, unit)}" for last, _, name in drawn[:LEGEND_LINES]]
        axes.legend([handle for _, handle, _ in drawn[:LEGEND_LINES]], names, fontsize=6, loc="upper left",
                    frameon=True, framealpha=0.7, edgecolor="none", borderpad=0.2, labelspacing=0.2)


def _states(axes, panel, answers):
    words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    names = []
    for query, series in answers:
        for one in series:
            times, values = _points(one)
            for begin, end, value in zip(times, times[1:], values):
                axes.barh(len(names), end - begin, left=begin, height=0.7, color=NAMED[words[f"{value:g}"]["color"]])
            names.append(_legend(query["legendFormat"], one["metric"]))
    axes.set_yticks([])
    for at, name in enumerate(names):
        axes.text(0.01, at, name, transform=axes.get_yaxis_transform(), va="center", fontsize=7, color="white")
    axes.set_ylim(-0.6, len(names) - 0.4)
    _clock(axes)


def _heatmap(axes, panel, answers):
    series = sorted(answers[0][1], key=lambda one: float(one["metric"]["le"]))
    if not series:
        return
    times, _ = _points(series[0])
    totals = numpy.array([_points(one)[1] for one in series])
    # Buckets count what is below them; a cell is what is in it alone.
    cells = numpy.diff(numpy.vstack([numpy.zeros(totals.shape[1]), totals]), axis=0)
    edges = numpy.arange(len(series) + 1)
    axes.pcolormesh(numpy.append(times, times[-1] + (times[-1] - times[-2])), edges,
                    numpy.where(cells > 1e-9, cells, numpy.nan) ** 0.5, cmap="Oranges")
    bounds = [float(one["metric"]["le"]) for one in series]
    names = ["more" if math.isinf(bound) else _number(bound, "s") for bound in bounds]
    axes.set_yticks(edges[1::2], names[::2])
    _clock(axes)


def _points(one):
    pairs = one.get("values") or [one["value"]]
    # Days since 1970, as matplotlib counts.
    return numpy.array([time / 86400 for time, _ in pairs]), numpy.array([float(value) for _, value in pairs])


def _legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form


def _clock(axes):
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))


DRAWERS = {"stat": _stat, "table": _table, "timeseries": _lines, "state-timeline": _states, "heatmap": _heatmap}


def rows_of(board):
    """(title, panels, closed) of each row."""
    found = []
    for panel in board["panels"]:
        if panel["type"] == "row":
            found.append((panel["title"], list(panel["panels"]), panel["collapsed"]))
        else:
            found[-1][1].append(panel)
    return found
