"""values.yaml with its comments: what README.md and the schema are held against."""

import json
import re
from dataclasses import dataclass

import chart

KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w-]*):(?P<rest>.*)$")


@dataclass
class Entry:
    """One key of values.yaml."""

    path: tuple
    comment: str
    value: object

    @property
    def name(self):
        return ".".join(self.path)


def has(tree, path):
    """Whether the path leads through maps alone; keys of a list's items don't."""
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def entries():
    """All keys, in the order of the file; those of lists left out."""
    found, path, comment = [], [], []
    for line in (chart.CHART / "values.yaml").read_text().splitlines():
        if not line.strip():
            comment = []
        elif line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif match := KEY.match(line):
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            if has(chart.defaults(), path):
                found.append(Entry(tuple(path), " ".join(comment), at(chart.defaults(), path)))
            comment = []
        else:
            comment = []
    return found


def documented():
    """The keys that a user sets: a map whose own keys have no comments is one value.

    Raises ValueError for a key without a comment beside keys that have one.
    """
    all_of_them = entries()
    children = {}
    for entry in all_of_them:
        children.setdefault(entry.path[:-1], []).append(entry)
    kept, missing = [], []
    for entry in all_of_them:
        family = children[entry.path[:-1]]
        if entry.comment:
            kept.append(entry)
        elif len(entry.path) == 1 or any(one.comment for one in family):
            missing.append(entry.name)
    if missing:
        raise ValueError(f"no comment in values.yaml: {', '.join(missing)}")
    return kept


def is_section(entry, kept):
    """Whether it is a map whose keys are described one by one."""
    return any(one.path[:-1] == entry.path for one in kept)


def shown(value):
    """A default in a cell of a table."""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "see values.yaml"
