"""The alerts, their tests and their runbooks, as they are committed."""

import os
import re
import sys
from pathlib import Path

from . import boards

ROOT = boards.ROOT
VENV = ROOT / ".tools/deploy/venv/bin/python"

try:
    import yaml
except ImportError:
    # scripts/install-deploy-tools puts PyYAML there for systems without.
    if not VENV.exists() or Path(sys.executable) == VENV:
        raise SystemExit("PyYAML is missing; scripts/install-deploy-tools brings it")
    os.execv(VENV, [str(VENV), *sys.argv])

RULES = ROOT / "helm/redcast/files/alerts.yml"
LINK = ROOT / "deploy/prometheus/alerts.yml"
TESTS = ROOT / "deploy/prometheus/alerts.test.yml"
RUNBOOKS = ROOT / "docs/runbooks"
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def alerts():
    """Each alert by its name."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def alert_count():
    """How many rules the file has, also those of one name."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return sum(len(group["rules"]) for group in groups)


def tested(text=None):
    """For each alert that fires in some test, whether it clears afterwards in the same one."""
    found = {}
    for test in yaml.safe_load(text or TESTS.read_text(encoding="utf-8"))["tests"]:
        fired = set()
        # promtool goes by the times, in whatever order they are written.
        for look in sorted(test.get("alert_rule_test", []), key=lambda look: seconds(look["eval_time"])):
            name = look["alertname"]
            if look.get("exp_alerts"):
                fired.add(name)
                found.setdefault(name, False)
            elif name in fired:
                found[name] = True
    return found


def seconds(duration):
    """A duration of Prometheus, such as 90s or 1h30m."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", str(duration)))


def runbooks():
    """The names of the alerts that have a page."""
    return {path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README"}
