"""What a program exports, read from its /metrics."""

import re

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PARTS = ("_bucket", "_sum", "_count")


class Exports:
    """The families of a program, and the labels of each of its series."""

    def __init__(self, text):
        self.families = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        self.series = {}
        for line in text.splitlines():
            found = SAMPLE.match(line)
            if found:
                self.series.setdefault(found[1], []).append(dict(LABEL.findall(found[2] or "")))

    def family(self, name):
        """The family that a series' name belongs to; none: there is no such series."""
        if name not in self.series:
            return None
        for part in PARTS:
            if name.endswith(part) and name.removesuffix(part) in self.families:
                return name.removesuffix(part)
        return name

    def answers(self, selector, given):
        """Whether some series is taken by the selector, whatever labels Prometheus adds."""
        return any(selector.takes({**given, **labels}) for labels in self.series.get(selector.name, []))
