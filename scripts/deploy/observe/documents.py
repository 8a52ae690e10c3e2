"""Whether docs/DASHBOARDS.md and the dashboards name the same panels."""

import re

from . import boards

PAGE = boards.ROOT / "docs/DASHBOARDS.md"
# A line of a table whose last column names panels in bold type.
ANSWER = re.compile(r"^\| .* \|([^|]*\*\*[^|]*)\|$", re.MULTILINE)
SECTIONS = {"operator.json": "## Operator", "business.json": "## Business"}


def faults():
    """A sentence for each panel that no question leads to, and each that is named in vain."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    for name, board in boards.load().items():
        section = _section(text, SECTIONS[name])
        named = {title for cell in ANSWER.findall(section) for title in re.findall(r"\*\*([^*]+)\*\*", cell)}
        titles = {panel["title"] for panel in boards.panels(board)}
        yield from (f"{name}: no question of docs/DASHBOARDS.md leads to {title!r}" for title in sorted(titles - named))
        yield from (f"docs/DASHBOARDS.md: {name} has no panel {title!r}" for title in sorted(named - titles))


def _section(text, heading):
    _, found, rest = text.partition(heading + "\n")
    return rest.split("\n## ")[0] if found else ""
