"""Names: of releases that look like numbers, and of a chart that has this one in it."""

import shutil
import tempfile
import unittest
from pathlib import Path

import yaml

import chart

# Text of a user's that a YAML reader takes for a number unless it is quoted.
DIGITS = {
    "fullnameOverride": "1e3",
    "nameOverride": "4711",
    "commonLabels": {"number": "12"},
    "imagePullSecrets": ["12345"],
    "priorityClassName": "12345",
    "service": {"type": "LoadBalancer", "loadBalancerClass": "12", "appProtocol": "12"},
    "serviceAccount": {"name": "12345"},
    "ingress": {"enabled": True, "className": "12345", "hosts": [{"host": "12345"}]},
    "existingSecret": "12345",
    "existingSecretKeys": {"apiKey": "12345"},
    "networkPolicy": {"enabled": True, "ingressFrom": [{"podSelector": {}}]},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "12345"}]},
    "tests": {"websocket": {"enabled": True, "image": "12345"}},
    "metrics": {
        "serviceMonitor": {"enabled": True, "namespace": "12345"},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}},
    },
}
HPA = {"enabled": True, "metricName": "12345"}
KEDA = {
    "enabled": True,
    "engine": "keda",
    "keda": {"serverAddress": "http://prometheus", "authenticationRef": "12345"},
}
# Keys that hold numbers or switches, and those whose values are numbers or switches.
NUMBERS = {
    "allowCrossNamespaceImport", "allowPrivilegeEscalation", "automountServiceAccountToken",
    "averageUtilization", "containerPort", "enableServiceLinks", "failureThreshold", "fsGroup",
    "maxReplicaCount", "maxReplicas", "maxSkew", "maxSurge", "maxUnavailable", "minReadySeconds",
    "minReplicaCount", "minReplicas", "periodSeconds", "pollingInterval", "port",
    "progressDeadlineSeconds", "publishNotReadyAddresses", "readOnly", "readOnlyRootFilesystem",
    "replicas", "revisionHistoryLimit", "runAsGroup", "runAsNonRoot", "runAsUser", "seconds",
    "stabilizationWindowSeconds", "terminationGracePeriodSeconds", "timeoutSeconds", "value",
    "activeDeadlineSeconds", "defaultMode", "number",
}  # fmt: skip


def numbers(node, path=()):
    """The paths whose values are no text."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from numbers(value, (*path, key))
    elif isinstance(node, list):
        for item in node:
            yield from numbers(item, path)
    elif not isinstance(node, str):
        yield path


class Digits(unittest.TestCase):
    def test_text_stays_text(self):
        for scale in (HPA, KEDA):
            for helm in chart.HELMS:
                values = chart.merged(DIGITS, {"autoscaling": scale})
                release = chart.made_of(values, helm, release="12345", namespace="67890")
                for document in release.documents:
                    for path in numbers(document):
                        with self.subTest(f"{helm}, {document['kind']} {'.'.join(map(str, path))}"):
                            inside = path[:2] == ("metadata", "labels") or "matchLabels" in path
                            self.assertTrue(path[-1] in NUMBERS and not inside, "is not a text")


class Umbrella(unittest.TestCase):
    def test_another_chart_may_have_this_one_in_it(self):
        dependency = {"name": "redcast", "version": "0.1.0", "condition": "redcast.enabled"}
        head = {"apiVersion": "v2", "name": "all", "version": "0.1.0", "dependencies": [dependency]}
        shared = {"global": {"storageClass": "fast", "imageRegistry": "a.example"}}
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(chart.CHART, Path(folder, "charts/redcast"))
            Path(folder, "Chart.yaml").write_text(yaml.safe_dump(head))
            for helm in chart.HELMS:
                for enabled in (True, False):
                    with self.subTest(f"{helm}, {enabled}"):
                        values = shared | {"redcast": chart.REDIS | {"enabled": enabled}}
                        ran = chart.template(helm, values, chart=folder)
                        self.assertEqual(ran.returncode, 0, ran.stderr)
                        self.assertEqual('image: "a.example/redcast:0.1.0"' in ran.stdout, enabled)
