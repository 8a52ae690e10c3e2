"""As much of PromQL as the checks need: which series an expression asks for.

Prometheus itself judges the syntax; this only finds names and matchers. So that it can, every
selector in our expressions is written with braces, which `bare_names` holds them to.
"""

import re

# Words of the language that stand without a parenthesis or in front of one.
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\[[^\]]*\]|\{[^}]*\}|[a-zA-Z_:][a-zA-Z0-9_:]*|\d[\w.]*|[()]|[^\s]')
MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
RANGE = re.compile(r"\[([^\]]*)\]")


class Selector:
    """A metric and what its labels have to be."""

    def __init__(self, name, braces):
        self.name = name
        self.text = name + braces
        self.matchers = MATCHER.findall(braces)

    def takes(self, labels):
        """Whether a series with these labels is among those asked for."""
        return all(_holds(kind, labels.get(label, ""), value) for label, kind, value in self.matchers)

    def allows(self, label, value):
        """Whether the matchers of this one label let the value through."""
        return all(_holds(kind, value, wanted) for name, kind, wanted in self.matchers if name == label)


def _holds(kind, actual, wanted):
    same = actual == wanted if kind in ("=", "!=") else re.fullmatch(wanted, actual) is not None
    return same == (kind in ("=", "=~"))


def selectors(expr):
    """All selectors of an expression, in their order."""
    return [Selector(name, braces) for name, braces in _names(expr) if braces is not None]


def bare_names(expr):
    """Names that are neither functions nor words of the language and have no braces."""
    return [name for name, braces in _names(expr) if braces is None]


def ranges(expr):
    """What stands in square brackets."""
    return RANGE.findall(expr)


def _names(expr):
    tokens = TOKEN.findall(expr)
    depth_of_labels = None
    depth = 0
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else ""
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
            if depth_of_labels is not None and depth < depth_of_labels:
                depth_of_labels = None
        elif token in GROUPING:
            # What stands in the parenthesis behind it are labels.
            if following == "(":
                depth_of_labels = depth + 1
        elif depth_of_labels is None and re.fullmatch(r"[a-zA-Z_:][\w:]*", token):
            if following.startswith("{"):
                yield token, following
            elif following != "(" and token.lower() not in WORDS and not _is_aggregation(tokens, at):
                yield token, None


def _is_aggregation(tokens, at):
    """`sum by (x) (…)`: the name is followed by its grouping, not by its parenthesis."""
    return at + 1 < len(tokens) and tokens[at + 1] in ("by", "without")


def filled_in(expr, values):
    """The expression with Grafana's variables replaced, longest names first."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace("${" + name + "}", values[name]).replace("$" + name, values[name])
    return expr
