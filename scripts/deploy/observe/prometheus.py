"""Asks a Prometheus over its HTTP API."""

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request


class Prometheus:
    """One that runs."""

    def __init__(self, url):
        self.url = url

    def query(self, expr):
        """The series of an expression, now."""
        return self._get("query", query=expr)["result"]

    def query_range(self, expr, seconds, step):
        """The series of an expression over the last seconds."""
        end = time.time()
        return self._get("query_range", query=expr, start=end - seconds, end=end, step=step)["result"]

    def label_values(self, label, selector):
        """The values of a label among the series of a selector."""
        return self._get(f"label/{label}/values", **{"match[]": selector})

    def rules(self):
        """All rules with their state."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path, **parameters):
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refusal:
            raise SystemExit(f"Prometheus refuses {path} {parameters}: {refusal.read().decode()}") from refusal


def numbers(series):
    """The values of an instant answer that are numbers."""
    found = [float(one["value"][1]) for one in series]
    return [value for value in found if not math.isnan(value)]
