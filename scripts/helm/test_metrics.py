"""What Prometheus and Grafana get."""

import unittest

import chart

RULES = (chart.CHART / "files/alerts.yml").read_text()
DASHBOARDS = sorted((chart.CHART / "files/dashboards").glob("*.json"))


def metrics(**values):
    return chart.made_of({"metrics": values})


class Monitors(unittest.TestCase):
    @chart.each_release
    def test_they_are_there_when_asked_for(self, release):
        # No API of Prometheus or Grafana is known to `helm template`: the value is enough.
        values = release.values["metrics"]
        for kind, key in (
            ("ServiceMonitor", "serviceMonitor"),
            ("PodMonitor", "podMonitor"),
            ("PrometheusRule", "prometheusRule"),
        ):
            self.assertEqual(len(release.all(kind)), int(values[key]["enabled"]), kind)
            for document in release.all(kind):
                self.assertEqual(
                    document["metadata"]["namespace"], values[key]["namespace"] or chart.NAMESPACE
                )
                self.assertTrue(chart.selects(document["metadata"]["labels"], values[key]["labels"]))

    @chart.each_release
    def test_a_service_monitor_finds_its_service_and_its_port(self, release):
        for monitor in release.all("ServiceMonitor"):
            self.assertEqual(monitor["spec"]["namespaceSelector"], {"matchNames": [chart.NAMESPACE]})
            selector = monitor["spec"]["selector"]["matchLabels"]
            found = [
                one for one in release.services.values() if chart.selects(one["metadata"]["labels"], selector)
            ]
            self.assertEqual(len(found), 1, "Services that the ServiceMonitor finds")
            ports = {port["name"]: port["targetPort"] for port in found[0]["spec"]["ports"]}
            for endpoint in monitor["spec"]["endpoints"]:
                self.assertIn(endpoint["port"], ports, "a port that the Service does not have")
                self.assertEqual(ports[endpoint["port"]], "admin")
                self.judge(endpoint, release.values["metrics"]["serviceMonitor"])

    @chart.each_release
    def test_a_pod_monitor_finds_the_pods_and_their_port(self, release):
        for monitor in release.all("PodMonitor"):
            selector = monitor["spec"]["selector"]["matchLabels"]
            self.assertTrue(chart.selects(release.pod["metadata"]["labels"], selector))
            ports = {port["name"] for port in release.container["ports"]}
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                self.assertIn(endpoint["port"], ports, "a port that the pod does not have")
                self.assertEqual(endpoint["port"], "admin")
                self.judge(endpoint, release.values["metrics"]["podMonitor"])

    def judge(self, endpoint, values):
        self.assertEqual(endpoint["path"], "/metrics")
        job = {"action": "replace", "targetLabel": "job", "replacement": "redcast"}
        self.assertEqual(endpoint["relabelings"], [job, *values["relabelings"]])
        self.assertEqual(endpoint.get("interval"), values["interval"] or None)
        self.assertEqual(endpoint.get("scrapeTimeout"), values["scrapeTimeout"] or None)
        self.assertEqual(endpoint.get("metricRelabelings"), values["metricRelabelings"] or None)


class Rules(unittest.TestCase):
    written = chart.load(RULES)[0]["groups"]

    def test_the_rules_are_those_of_the_file(self):
        for helm in chart.HELMS:
            with self.subTest(helm):
                release = chart.made_of({"metrics": {"prometheusRule": {"enabled": True}}}, helm)
                self.assertEqual(release.one("PrometheusRule")["spec"]["groups"], self.written)
        self.assertGreater(sum(len(group["rules"]) for group in self.written), 0)

    def test_runbooks_may_be_elsewhere(self):
        for base in ("https://wiki.example/runbooks", "https://wiki.example/runbooks/"):
            release = metrics(prometheusRule={"enabled": True, "runbookBase": base})
            rules = [
                rule for group in release.one("PrometheusRule")["spec"]["groups"] for rule in group["rules"]
            ]
            for rule in rules:
                if "alert" in rule:
                    wanted = f"https://wiki.example/runbooks/{rule['alert']}.md"
                    self.assertEqual(rule["annotations"]["runbook_url"], wanted)

    def test_alerts_may_be_left_out_and_added(self):
        names = [rule["alert"] for group in self.written for rule in group["rules"] if "alert" in rule]
        own = {"name": "own", "rules": [{"alert": "Own", "expr": "vector(1)"}]}
        release = metrics(prometheusRule={"enabled": True, "disabled": names[:1], "additionalGroups": [own]})
        groups = release.one("PrometheusRule")["spec"]["groups"]
        left = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
        self.assertEqual(left, [*names[1:], "Own"])
        release = metrics(prometheusRule={"enabled": True, "disabled": names})
        left = [rule for group in release.one("PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
        self.assertEqual([rule for rule in left if "alert" in rule], [])


class Dashboards(unittest.TestCase):
    def test_they_are_the_files_byte_for_byte(self):
        self.assertGreaterEqual(len(DASHBOARDS), 2)
        for helm in chart.HELMS:
            with self.subTest(helm):
                release = chart.made_of({"metrics": {"dashboards": {"enabled": True}}}, helm)
                held = {}
                for document in release.all("ConfigMap"):
                    if "grafana_dashboard" in document["metadata"]["labels"]:
                        held |= document["data"]
                self.assertEqual(held, {f"redcast-{path.name}": path.read_text() for path in DASHBOARDS})

    def test_the_sidecar_finds_them(self):
        values = {"enabled": True, "namespace": "grafana", "annotations": {"own": "1"}}
        found = [
            one
            for one in metrics(dashboards=values).all("ConfigMap")
            if one["metadata"]["namespace"] == "grafana"
        ]
        self.assertEqual(len(found), len(DASHBOARDS))
        for document in found:
            self.assertEqual(document["metadata"]["labels"]["grafana_dashboard"], "1")
            self.assertEqual(document["metadata"]["annotations"], {"own": "1", "grafana_folder": "Redcast"})
        release = metrics(dashboards={"enabled": True, "folder": ""})
        for document in release.all("ConfigMap"):
            self.assertNotIn("grafana_folder", document["metadata"].get("annotations", {}))

    @chart.each_release
    def test_the_operator_finds_what_it_is_pointed_at(self, release):
        maps = {one["metadata"]["name"]: one for one in release.all("ConfigMap")}
        values = release.values["metrics"]["dashboards"]
        wanted = len(DASHBOARDS) if values["enabled"] and values["grafanaOperator"]["enabled"] else 0
        self.assertEqual(len(release.all("GrafanaDashboard")), wanted)
        for dashboard in release.all("GrafanaDashboard"):
            reference = dashboard["spec"]["configMapRef"]
            self.assertIn(reference["key"], maps[reference["name"]]["data"])
            self.assertEqual(
                maps[reference["name"]]["metadata"]["namespace"], dashboard["metadata"]["namespace"]
            )
