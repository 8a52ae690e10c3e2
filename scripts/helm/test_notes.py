"""`helm lint`, and what `helm install` says at the end."""

import os
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import chart


def run(helm, *arguments, values=None):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [chart.HELMS[helm], *arguments]
    if values is not None:
        command += ["--values", "-"]
    text = None if values is None else chart.written(values)
    return subprocess.run(command, input=text, capture_output=True, text=True, env=environment)


def notes(values):
    """Helm 3 asks a cluster before it says anything; Helm 4 does not."""
    options = ("--namespace", chart.NAMESPACE, "--dry-run=client")
    ran = run(
        "helm4", "install", chart.RELEASE, chart.CHART, *options, values=chart.merged(chart.REDIS, values)
    )
    if ran.returncode != 0:
        raise AssertionError(ran.stderr)
    return ran.stdout.split("\nNOTES:\n", 1)[1]


def notes_of_an_upgrade(values):
    """No Helm shows them without a cluster: a copy of the chart renders them as an object."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "redcast")
        shutil.copytree(chart.CHART, copy)
        shutil.move(copy / "templates/NOTES.txt", copy / "files/NOTES.txt")
        text = '{{ tpl (.Files.Get "files/NOTES.txt") . | quote }}'
        (copy / "templates/notes.yaml").write_text(f"kind: Notes\ntext: {text}\n")
        return chart.made_of(values, is_upgrade=True, chart=copy).all("Notes")[0]["text"]


class Lint(unittest.TestCase):
    def test_it_is_clean(self):
        cases = [(helm, name) for helm in chart.HELMS for name in chart.SETS]
        with ThreadPoolExecutor() as pool:
            ran = list(
                pool.map(
                    lambda one: run(one[0], "lint", "--strict", chart.CHART, values=chart.set_values(one[1])),
                    cases,
                )
            )
        for (helm, name), result in zip(cases, ran):
            with self.subTest(f"{name}, {helm}"):
                self.assertEqual(result.returncode, 0, result.stdout)


class Notes(unittest.TestCase):
    def test_they_say_how_to_connect(self):
        route = {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["live.example"]}
        ingress = {"enabled": True, "hosts": [{"host": "live.example"}]}
        encrypted = ingress | {"tls": [{"secretName": "live", "hosts": ["live.example"]}]}
        endpoints = {"config": {"endpoints": [{"path": "/ws/orders"}]}}
        for values, wanted in (
            ({}, "kubectl -n gateways port-forward service/live-redcast 8080:8080"),
            ({}, "wscat -c ws://127.0.0.1:8080/ws/analytics"),
            ({"ingress": ingress}, "wscat -c ws://live.example/ws/analytics"),
            ({"ingress": encrypted} | endpoints, "wscat -c wss://live.example/ws/orders"),
            ({"httpRoute": route}, "wscat -c wss://live.example/ws/analytics"),
            ({}, "takes up to 55 s"),
            ({}, "helm -n gateways test live --logs"),
        ):
            with self.subTest(wanted):
                self.assertIn(wanted, notes(values))

    def test_they_warn_of_what_will_hurt(self):
        calm = notes({"metrics": {"serviceMonitor": {"enabled": True}}})
        for values, wanted in (
            ({"replicaCount": 1}, "WARNING: one replica"),
            ({"autoscaling": {"enabled": True, "minReplicas": 1}}, "WARNING: one replica"),
            ({"redis": {"url": "redis://:secret@redis"}}, "WARNING: redis.url has a password"),
            (
                {"redis": {"url": "", "nodes": ["redis://a:6379", "redis://:secret@b:6379"]}},
                "WARNING: redis.nodes has a password",
            ),
            ({"secrets": {"apiKey": "plain"}}, "WARNING: secrets.* are in the release's history"),
            ({"ingress": {"enabled": True, "hosts": [{}]}}, "NOTE: ingress.controller is not set"),
            ({"ingress": {"enabled": True, "hosts": [{}]}}, "NOTE: no sticky cookie"),
            ({}, "NOTE: nothing scrapes the metrics"),
        ):
            with self.subTest(wanted):
                self.assertIn(wanted, notes(values))
                self.assertNotIn(wanted, calm)

    def test_they_tell_no_secret(self):
        self.assertNotIn("secret@", notes({"redis": {"url": "redis://:secret@redis"}}))

    def test_an_upgrade_to_an_autoscaler_is_warned_of(self):
        scale = {"autoscaling": {"enabled": True}}
        wanted = "NOTE: if this upgrade has switched the autoscaler on"
        self.assertIn(wanted, notes_of_an_upgrade(scale))
        self.assertNotIn(wanted, notes_of_an_upgrade({}))
        self.assertNotIn(wanted, notes(scale))
