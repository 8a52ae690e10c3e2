#!/usr/bin/env python3
"""Each rule of the checks of dashboards and alerts is broken once, and must be told.

A check that finds nothing looks like one that works; scripts/deploy/dashboards runs this first.
"""

import copy
import sys
import unittest
from unittest import mock

# What is imported from a checkout leaves nothing behind in it.
sys.dont_write_bytecode = True

from observe import answers, boards, coverage, lint, logs, operator_board, promql, rules  # noqa: E402
from observe.exports import Exports  # noqa: E402

GATEWAY = """# TYPE redcast_connections gauge
redcast_connections 3
# TYPE redcast_closed_total counter
redcast_closed_total{code="1000"} 0
redcast_closed_total{code="1006"} 0
# TYPE redcast_seconds histogram
redcast_seconds_bucket{le="1"} 0
redcast_seconds_sum 0
redcast_seconds_count 0
# TYPE process_virtual_memory_bytes gauge
process_virtual_memory_bytes 1
"""
PRODUCER = """# TYPE process_threads gauge
process_threads 1
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1
# TYPE process_virtual_memory_bytes gauge
process_virtual_memory_bytes 1
"""


def exports():
    return {"gateway": Exports(GATEWAY), "producer": Exports(PRODUCER)}


class Expressions(unittest.TestCase):
    def named(self, expr):
        return [selector.name for selector in promql.selectors(expr)], promql.bare_names(expr)

    def test_selectors_are_found_and_labels_are_none(self):
        expr = ('sum by (job, le) (rate(a_total{x="b{c"}[5m]))'
                ' / on (job) group_left (pod) avg without (x) (b{y=~"z"} > 0)')
        self.assertEqual(self.named(expr), (["a_total", "b"], []))

    def test_a_name_without_matchers_is_told(self):
        self.assertEqual(self.named("sum(up) or time() - b{}"), (["b"], ["up"]))

    def test_matchers_hold_as_in_prometheus(self):
        selector = promql.selectors('a{x=~"b|c", y!="d", z!~"e.*"}')[0]
        self.assertTrue(selector.takes({"x": "c", "y": ""}))
        for labels in ({"x": "bc"}, {"x": "b", "y": "d"}, {"x": "b", "z": "ee"}):
            self.assertFalse(selector.takes(labels), labels)

    def test_a_longer_variable_is_not_taken_for_a_shorter_one(self):
        self.assertEqual(promql.filled_in("$job $jobs ${job}", {"job": "a", "jobs": "b"}), "a b a")


class Rules(unittest.TestCase):
    def setUp(self):
        self.board = copy.deepcopy(operator_board.build())
        self.panels = list(boards.panels(self.board))

    def told(self, words):
        found = list(lint.faults("operator.json", self.board))
        self.assertTrue(any(words in fault for fault in found), found[:5])

    def test_the_dashboard_itself_keeps_them(self):
        self.assertEqual(list(lint.faults("operator.json", self.board)), [])

    def test_what_a_provisioned_dashboard_must_not_have(self):
        self.board["__inputs"] = []
        self.told("__inputs")

    def test_another_uid(self):
        self.board["uid"] = "x"
        self.told("its uid is 'x'")

    def test_alerts_of_both_programs_are_marked(self):
        expr, = (note["expr"] for note in self.board["annotations"]["list"] if note["name"] == "Alerts")
        selector = promql.selectors(boards.filled_in(expr))[0]
        for job in ("redcast", "redcast-producer"):
            self.assertTrue(selector.takes({"alertname": "RedcastX", "alertstate": "firing", "job": job}), job)

    def test_another_schema(self):
        self.board["schemaVersion"] += 1
        self.told("schemaVersion")

    def test_all_that_leaves_out_what_has_no_label(self):
        self.board["templating"]["list"][2]["allValue"] = ".+"
        self.told("All is not '.*'")

    def test_a_data_source_of_its_own(self):
        self.panels[0]["targets"][0]["datasource"] = {"uid": "prometheus"}
        self.told("data source")

    def test_a_unit_that_grafana_does_not_know(self):
        self.panels[0]["fieldConfig"]["defaults"]["unit"] = "events"
        self.told("its unit is 'events'")

    def test_no_description(self):
        self.panels[0]["description"] = ""
        self.told("no sentence describes it")

    def test_an_id_twice(self):
        self.panels[1]["id"] = self.panels[0]["id"]
        self.told("is there twice")

    def test_panels_on_each_other(self):
        self.panels[1]["gridPos"]["x"] -= 1
        self.told("overlaps")

    def test_a_panel_beyond_the_edge(self):
        self.panels[5]["gridPos"]["x"] += 1
        self.told("beyond the right edge")

    def test_queries(self):
        for expr, words in {'rate(x{job=~"$job"}[5m])': "range [5m]", "up": "has no matchers",
                            'x{job=~"$job"}': "not chosen by namespace",
                            'x{job=~"$jop"}': "$jop is no variable"}.items():
            self.panels[0]["targets"][0]["expr"] = expr
            self.told(words)


class Alerts(unittest.TestCase):
    TIMES = """tests:
  - alert_rule_test:
      - {eval_time: 1h30m, alertname: RedcastLate, exp_alerts: []}
      - {eval_time: 4m, alertname: RedcastEarly, exp_alerts: []}
      - {eval_time: 90s, alertname: RedcastLate, exp_alerts: [{}]}
      - {eval_time: 5m, alertname: RedcastEarly, exp_alerts: [{}]}
"""

    def test_clearing_comes_after_firing_by_the_time(self):
        self.assertEqual(rules.tested(self.TIMES), {"RedcastLate": True, "RedcastEarly": False})

    def test_one_that_is_about_to_fire_is_told(self):
        for state, told in {"inactive": 0, "pending": 1, "firing": 1}.items():
            rule = {"name": "RedcastX", "type": "alerting", "health": "ok", "state": state, "alerts": []}
            prometheus = mock.Mock(rules=lambda rule=rule: [rule], query=lambda _: ["a series"])
            found = list(answers.of_alerts(prometheus, {"RedcastX": {"expr": "up{}"}}))
            self.assertEqual(len(found), told, state)


class Logs(unittest.TestCase):
    SOURCE = """fn tell() {
    tracing::info!(cut = self.len(), "stopped (for good)");
    if odd { warn!(%error, "it said \\"no\\"") } else { say("aside") }
    match outcome { Ok(()) => info!("the store is back"), Err(_) => {} }
}
#[cfg(test)]
mod tests {
    fn in_a_test() { error!("never") }
}
"""
    PAGE = """LOGS | grep -w 'one' | tail    # "two", and `three`
LOGS | grep 4409 | tail
It says `four` and `five`. The lines `six`.
"""

    def test_what_is_logged_is_found(self):
        found = list(logs.logged(self.SOURCE))
        self.assertEqual(found, ["stopped (for good)", 'it said \\"no\\"', "the store is back"])

    def test_what_is_quoted_is_found(self):
        self.assertEqual(list(logs.quoted(self.PAGE)), ["one", "two", "4409", "four", "six"])

    def test_a_text_of_another_program_is_told(self):
        texts, rule = {"gateway": ["six one two"], "producer": ["four"]}, {"expr": 'up{job="redcast"}'}
        self.assertEqual(list(logs.faults(rule, self.PAGE, texts, "4409")), ["'four' is in no log of the gateway"])
        self.assertEqual(len(list(logs.faults(rule, self.PAGE, texts, ""))), 2)


class Coverage(unittest.TestCase):
    def test_metrics_that_are_not(self):
        for expr, words in {'redcast_connection{job="redcast"}': "exports no",
                            'redcast_closed_total{job="redcast", code="1001"}': "no series",
                            'redcast_connections{job="redcast-producer"}': "the producer exports no",
                            'redcast_connections{job="other"}': "of no job"}.items():
            self.assertIn(words, "".join(coverage.unknown(expr, exports())), expr)

    def test_metrics_that_are(self):
        for expr in ('redcast_closed_total{job="redcast", code=~"1..."}', 'redcast_seconds_bucket{job="redcast"}'):
            self.assertEqual(list(coverage.unknown(expr, exports())), [])

    def test_a_metric_on_no_panel(self):
        shown = ['redcast_connections{job="redcast"}', 'redcast_seconds_sum{job="redcast"}']
        self.assertEqual(list(coverage.not_shown(shown, exports())),
                         ["redcast_closed_total of the gateway is on no panel"])

    def test_a_metric_that_is_left_out_and_shown(self):
        found = list(coverage.not_shown(['process_threads{job="redcast-producer"}'], exports()))
        self.assertIn("process_threads of the producer is on a panel and among those left out", found)


if __name__ == "__main__":
    unittest.main()
