"""values.yaml, values.schema.json and README.md name the same keys."""

import json
import unittest

import chart
import values

SCHEMA = json.loads((chart.CHART / "values.schema.json").read_text())
README = (chart.CHART / "README.md").read_text()

# Where Kubernetes itself, or the gateway, judges what is inside, or other charts have keys.
FREE = {
    "global",
    "affinity",
    "autoscaling.behavior.scaleDown",
    "autoscaling.behavior.scaleUp",
    "livenessProbe",
    "podSecurityContext",
    "readinessProbe",
    "resources.limits",
    "resources.requests",
    "securityContext",
    "startupProbe",
    "tests.resources.limits",
    "tests.resources.requests",
    "httpRoute.sessionPersistence.cookieConfig",
    *(
        f"config.{section}"
        for section in (
            "http",
            "admin",
            "redis",
            "auth",
            "api",
            "page",
            "limits",
            "keepalive",
            "interest",
            "streams",
            "deflate",
            "shutdown",
            "log",
        )
    ),
}


def resolved(schema):
    if "$ref" in schema:
        return SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


class Values(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kept = values.documented()

    def test_the_readme_has_every_key(self):
        for entry in self.kept:
            mark = (
                f"`{entry.name}`"
                if len(entry.path) > 1 or not values.is_section(entry, self.kept)
                else f"### {entry.name}\n"
            )
            with self.subTest(entry.name):
                self.assertIn(mark, README, "is missing in README.md; run scripts/helm/readme")

    def test_the_schema_has_every_key_and_no_other(self):
        for entry in [values.Entry((), "", chart.defaults()), *self.kept]:
            if entry.path and not values.is_section(entry, self.kept):
                continue
            schema = SCHEMA
            for key in entry.path:
                schema = schema["properties"].get(key) or self.fail(f"{entry.name} is not in the schema")
            with self.subTest(entry.name):
                # What the schema takes for the chart above this one is no value of it.
                known = set(schema["properties"]) - (set() if entry.path else {"enabled"})
                self.assertEqual(known, set(entry.value))

    def test_no_map_takes_unknown_keys(self):
        self.judge(SCHEMA, ())

    def judge(self, schema, path):
        schema = resolved(schema)
        name = ".".join(path)
        if schema.get("type") == "object" or schema.get("type") == ["object", "null"]:
            if name not in FREE:
                with self.subTest(name):
                    self.assertIn("additionalProperties", schema, "takes any key")
                    self.assertIsNot(schema["additionalProperties"], True)
            for key, inner in schema.get("properties", {}).items():
                self.judge(inner, (*path, key))

    def test_every_definition_of_the_schema_is_used(self):
        text = json.dumps(SCHEMA)
        for name in SCHEMA["$defs"]:
            self.assertIn(f'#/$defs/{name}"', text)

    def test_the_defaults_fit_the_schema(self):
        # Helm judges the values that it is given, joined with the defaults.
        self.assertEqual(chart.template("helm4", chart.REDIS).returncode, 0)

    def test_eight_value_sets(self):
        self.assertGreaterEqual(len(chart.SETS), 8)
