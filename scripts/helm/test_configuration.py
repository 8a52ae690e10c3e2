"""The configuration file: the values as they were meant, and the gateway accepts them."""

import functools
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import chart

GATEWAY = Path(os.environ.get("GATEWAY_BIN", chart.ROOT / "target/debug/redcast"))
# What the secret files of a value set hold, where Secrets of others would.
CONTENT = {
    "redis-url": "redis://redis:6379",
    "redis-nodes": "redis://redis-a:6379\nredis://redis-b:6379",
    "redis-sentinel-password": "a-long-random-text",
    "api-key": "a-long-random-text",
    "forward-auth-url": "http://auth:9000/auth",
}


@functools.cache
def pem():
    """A certificate and its key, as the files of a Secret would hold them."""
    with tempfile.TemporaryDirectory() as folder:
        command = "openssl req -x509 -newkey ed25519 -nodes -subj /CN=redis -keyout key -out cert"
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        certificate, key = (Path(folder, name).read_text() for name in ("cert", "key"))
    return {"redis-ca.pem": certificate, "redis-client.pem": certificate, "redis-client-key.pem": key}


def check(release, folder):
    """`redcast check-config` in the pod's environment, its paths moved to a folder."""
    environment = {"PATH": os.environ["PATH"]}
    own = release.all("Secret")
    for name, value in release.environment.items():
        if value is None or not value.startswith("/etc/"):
            if value is not None:
                environment[name] = value
            continue
        path = folder / Path(value).name
        text = own[0]["stringData"].get(path.name) if own else None
        path.write_text(
            release.toml if name == "REDCAST_CONFIG" else text or CONTENT.get(path.name) or pem()[path.name]
        )
        environment[name] = str(path)
    config = environment["REDCAST_CONFIG"]
    command = [GATEWAY, "check-config", "--json", "--config", config]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)


class Configuration(unittest.TestCase):
    @chart.each_release
    def test_the_file_says_what_the_values_say(self, release):
        self.assertEqual(release.configuration, release.values["config"])

    def test_text_and_numbers_of_all_kinds(self):
        odd = {
            "limits": {"max_connections": 1000000, "outbox": "1MiB"},
            "deflate": {"level": 3},
            "log": {"level": 'a "quoted" \\ text\nof two lines <&> ü', "share": 0.25},
            "channels": [{"pattern": "{{ not a template }}", "empty": [], "deep": {"a b": [{"c": True}]}}],
        }
        for helm in chart.HELMS:
            with self.subTest(helm):
                release = chart.made_of({"config": odd}, helm)
                self.assertEqual(release.configuration, odd)
                self.assertIs(type(release.configuration["limits"]["max_connections"]), int)

    def test_a_character_that_yaml_refuses_is_written_in_another_way(self):
        # Helm 3 takes no such value.
        release = chart.made_of({"config": {"log": {"level": "a\x7fb"}}}, "helm4")
        self.assertEqual(release.configuration, {"log": {"level": "a\x7fb"}})

    def test_a_key_with_null_is_left_out(self):
        release = chart.made_of({"config": {"log": {"level": None, "format": "json"}}})
        self.assertEqual(release.configuration, {"log": {"format": "json"}})

    def test_a_null_inside_is_left_out(self):
        deep = {"merge": {"a": None, "b": "now", "c": [None, 1, None, 2]}, "none": {"a": None}}
        release = chart.made_of({"config": {"snapshots": [deep]}})
        wanted = {"merge": {"b": "now", "c": [1, 2]}, "none": {}}
        self.assertEqual(release.configuration, {"snapshots": [wanted]})

    @unittest.skipUnless(GATEWAY.exists() or os.environ.get("CI"), f"{GATEWAY} is not built")
    @chart.each_release
    def test_the_gateway_accepts_it(self, release):
        with tempfile.TemporaryDirectory() as folder:
            ran = check(release, Path(folder))
        said = json.loads(ran.stdout)
        self.assertEqual((ran.returncode, said["errors"]), (0, []), said)

    @unittest.skipUnless(GATEWAY.exists() or os.environ.get("CI"), f"{GATEWAY} is not built")
    def test_the_gateway_would_refuse_a_mistake(self):
        release = chart.made_of({"config": {"limits": {"max_conections": 5}}})
        with tempfile.TemporaryDirectory() as folder:
            ran = check(release, Path(folder))
        self.assertEqual(ran.returncode, 78)
        self.assertIn("max_conections", ran.stdout)
