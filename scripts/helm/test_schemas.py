"""Everything fits the schemas of Kubernetes and of the custom resources."""

import functools
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import chart

try:
    import kubernetes_validate
    from kubernetes_validate import utils
except ImportError:
    kubernetes_validate = None

VERSIONS = ("1.30", "1.34", "1.37")
MODELS = chart.TOOLS / "node_modules/@kubernetes-models"
CUSTOM = {
    "monitoring.coreos.com/v1",
    "gateway.networking.k8s.io/v1",
    "keda.sh/v1alpha1",
    "grafana.integreatly.org/v1beta1",
}
HERE = Path(__file__).parent


@functools.cache
def documents():
    """Every document that any value set renders, once, with where it is from."""
    found = {}
    for release in chart.rendered():
        for document in release.documents:
            place = f"{release}: {document['kind']} {document['metadata']['name']}"
            found.setdefault(json.dumps(document, sort_keys=True), (place, document))
    return list(found.values())


def without(value, allowed, path=""):
    """Keys that a custom resource has and the list of known ones has not."""
    if allowed == "*":
        return
    if isinstance(value, list):
        for item in value:
            yield from without(item, allowed, path)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in allowed:
                yield from without(inner, allowed[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"


class Schemas(unittest.TestCase):
    @unittest.skipUnless(kubernetes_validate or os.environ.get("CI"), "kubernetes-validate is not installed")
    def test_kubernetes_knows_every_key(self):
        # It would read its definitions anew for each document.
        utils.schema_contents = functools.cache(utils.schema_contents)
        judged = 0
        for version in VERSIONS:
            for place, document in documents():
                if document["apiVersion"] in CUSTOM:
                    continue
                with self.subTest(f"Kubernetes {version}, {place}"):
                    judged += 1
                    try:
                        kubernetes_validate.validate(document, version, strict=True)
                    except kubernetes_validate.ValidationError as error:
                        self.fail(f"{'.'.join(map(str, error.path))}: {error.message}")
        self.assertGreater(judged, 100)

    @unittest.skipUnless(MODELS.exists() or os.environ.get("CI"), "@kubernetes-models is not installed")
    def test_custom_resources_fit_their_schemas(self):
        custom = [one for one in documents() if one[1]["apiVersion"] in CUSTOM]
        kinds = {document["kind"] for _, document in custom}
        wanted = {
            "ServiceMonitor",
            "PodMonitor",
            "PrometheusRule",
            "HTTPRoute",
            "ScaledObject",
            "GrafanaDashboard",
        }
        self.assertEqual(kinds, wanted)
        command = [shutil.which("node"), HERE / "custom-resources.mjs", chart.TOOLS]
        ran = subprocess.run(command, input=json.dumps(custom), capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for place, message in json.loads(ran.stdout):
            with self.subTest(place):
                self.fail(message)

    def test_custom_resources_have_known_keys(self):
        # Their schemas take a key that they don't know.
        known = json.loads((HERE / "custom-resources.json").read_text())
        for place, document in documents():
            if document["apiVersion"] in CUSTOM:
                with self.subTest(place):
                    self.assertEqual(list(without(document, known["*"] | known[document["kind"]])), [])
