"""Secrets are taken, never made, and stand nowhere but in a Secret."""

import json
import re
import unittest

import chart

# Functions whose result differs from one rendering to the next, or from one cluster to
# another: what a tool that renders without a cluster would apply again and again.
UNSTEADY = r"\b(rand[A-Z]\w*|lookup|gen[A-Z]\w*|derivePassword|htpasswd|bcrypt|encryptAES|uuidv4|now|date|ago|getHostByName)\b"


def code(path):
    """What a template does, without its comments and its text."""
    text = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", path.read_text(), flags=re.S)
    # Text in quotes calls nothing.
    return [re.sub(r'"[^"]*"', '""', action) for action in re.findall(r"\{\{(.*?)\}\}", text, flags=re.S)]


class Secrets(unittest.TestCase):
    def test_templates_are_steady(self):
        for path in sorted((chart.CHART / "templates").rglob("*.*")):
            with self.subTest(path.name):
                for action in code(path):
                    self.assertIsNone(
                        re.search(UNSTEADY, action), f"{path.name}: a generated value in {action.strip()!r}"
                    )
                    self.assertNotIn(
                        ".Capabilities", action, f"{path.name}: rendered by what the cluster knows"
                    )

    def test_two_renderings_are_the_same(self):
        for name in ("legacy-nginx", "full"):
            with self.subTest(name):
                first = next(
                    release
                    for release in chart.rendered()
                    if release.name == name and release.helm == "helm4"
                )
                self.assertEqual(first.text, chart.template("helm4", chart.set_values(name)).stdout)

    @chart.each_release
    def test_a_secret_holds_what_was_given_and_no_more(self, release):
        values, held = release.values, {}
        redis, plain = values["redis"], values["secrets"]
        scheme = "rediss" if redis["tls"]["enabled"] else "redis"
        if redis["url"]:
            held["redis-url"] = redis["url"]
        if redis["nodes"]:
            held["redis-nodes"] = "\n".join(redis["nodes"])
        if redis["sentinel"]["hosts"]:
            held["redis-url"] = (
                f"{scheme}+sentinel://{','.join(redis['sentinel']['hosts'])}/{redis['sentinel']['primary']}"
            )
        if redis["cluster"]["hosts"]:
            held["redis-url"] = f"{scheme}+cluster://{','.join(redis['cluster']['hosts'])}"
        if plain["apiKey"]:
            held["api-key"] = plain["apiKey"]
        if plain["forwardAuthUrl"]:
            held["forward-auth-url"] = plain["forwardAuthUrl"]
        secrets = release.all("Secret")
        self.assertEqual([one["stringData"] for one in secrets], [held] if held else [])
        outside = json.dumps([one for one in release.documents if one["kind"] != "Secret"])
        for secret in "\n".join(held.values()).splitlines():
            # Where Redis is, is no secret; who may use it is one.
            if "@" in secret or not secret.startswith("redis"):
                self.assertNotIn(secret, outside, "a secret stands outside of the Secret")

    @chart.each_release
    def test_every_secret_file_is_mounted(self, release):
        volume = next(one for one in release.pod["spec"]["volumes"] if one["name"] == "secrets")
        mount = next(one for one in release.container["volumeMounts"] if one["name"] == "secrets")
        files = {
            f"{mount['mountPath']}/{item['path']}": source["secret"]["name"]
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        }
        named = {value for key, value in release.environment.items() if key.endswith("_FILE") and value}
        self.assertEqual(set(files), named)
        ours = {one["metadata"]["name"] for one in release.all("Secret")}
        redis, values = release.values["redis"], release.values
        theirs = {
            redis["existingSecret"],
            redis["tls"]["caSecret"],
            redis["tls"]["clientSecret"],
            values["existingSecret"],
        }
        self.assertEqual(set(files.values()), ours | theirs - {""})

    @chart.each_release
    def test_folders_are_mounted_whole(self, release):
        for mount in release.container["volumeMounts"]:
            self.assertNotIn("subPath", mount, "a mount of one file never follows a change")

    def test_pods_restart_when_what_they_read_changes(self):
        def checksums(values):
            return chart.made_of(values).pod["metadata"]["annotations"]

        before = checksums({})
        self.assertEqual(before, checksums({"service": {"port": 81}}))
        after = checksums({"config": {"log": {"level": "debug"}}})
        self.assertNotEqual(before["checksum/config"], after["checksum/config"])
        after = checksums({"secrets": {"apiKey": "another"}})
        self.assertNotEqual(before["checksum/secret"], after["checksum/secret"])
