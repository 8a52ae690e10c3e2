"""The chart as Helm renders it: every value set once by each Helm, all side by side."""

import copy
import functools
import json
import os
import re
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/redcast"
TOOLS = Path(os.environ.get("DEPLOY_TOOLS", ROOT / ".tools/deploy"))
HELMS = {name: TOOLS / "bin" / name for name in ("helm3", "helm4")}
SETS = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))
RELEASE, NAMESPACE = "live", "gateways"
# What every value set needs at least; for the small ones that tests make up.
REDIS = {"redis": {"url": "redis://redis:6379"}}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads as Kubernetes does, and takes no key twice, of which it would keep the last."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"set twice in one map: {', '.join(sorted(twice))}")
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in a float; what Helm and Kubernetes use takes 1e3 for one, too.
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(text):
    return [document for document in yaml.load_all(text, Loader) if document]


def merged(below, above):
    """Two trees of values as Helm joins them, but that a null stays: Helm takes its key away."""
    result = copy.deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


@functools.cache
def defaults():
    return yaml.load((CHART / "values.yaml").read_text(), Loader)


@functools.cache
def set_values(name):
    return yaml.load((CHART / f"ci/{name}-values.yaml").read_text(), Loader)


def written(values):
    """As JSON, which leaves no doubt what is a text; YAML wants DEL escaped, JSON does not."""
    return json.dumps(values).replace("\x7f", "\\u007f")


def template(helm, values, release=RELEASE, namespace=NAMESPACE, chart=CHART, is_upgrade=False):
    """Runs `helm template` with the values on standard input."""
    command = [HELMS[helm], "template", release, chart, "--namespace", namespace]
    command += ["--is-upgrade"] if is_upgrade else []
    # Without a cluster's address in reach it can't ask one, nor read somebody's settings.
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        [*command, "--values", "-"],
        input=written(values),
        capture_output=True,
        text=True,
        env=environment,
    )


class Release:
    """What one Helm made of one set of values."""

    def __init__(self, name, helm, values, **options):
        self.name, self.helm = name, helm
        self.values = merged(defaults(), values)
        ran = template(helm, values, **options)
        if ran.returncode != 0:
            raise AssertionError(f"{name} is not rendered by {helm}: {ran.stderr.strip()}")
        self.text = ran.stdout
        self.documents = load(ran.stdout)

    def __str__(self):
        return f"{self.name}, {self.helm}"

    def all(self, kind):
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind, suffix=""):
        """The only object of this kind, or the one whose name ends so."""
        found = [one for one in self.all(kind) if one["metadata"]["name"].endswith(suffix)]
        if len(found) != 1:
            raise AssertionError(f"{self}: {len(found)} objects of kind {kind} *{suffix}")
        return found[0]

    @property
    def deployment(self):
        return self.one("Deployment")

    @property
    def pod(self):
        """The pods' template: metadata and spec."""
        return self.deployment["spec"]["template"]

    @property
    def container(self):
        return next(one for one in self.pod["spec"]["containers"] if one["name"] == "redcast")

    @property
    def environment(self):
        return {entry["name"]: entry.get("value") for entry in self.container["env"]}

    @property
    def services(self):
        """The public Service and, if it is there, the admin one."""
        return {
            ("admin" if one["spec"].get("clusterIP") == "None" else "http"): one
            for one in self.all("Service")
        }

    @property
    def toml(self):
        """The configuration file's text."""
        name = next(one for one in self.pod["spec"]["volumes"] if one["name"] == "config")["configMap"][
            "name"
        ]
        return next(one for one in self.all("ConfigMap") if one["metadata"]["name"] == name)["data"][
            "redcast.toml"
        ]

    @property
    def configuration(self):
        return tomllib.loads(self.toml)


@functools.cache
def rendered():
    """All value sets of ci/ by both Helms."""
    wanted = [(name, helm) for name in SETS for helm in HELMS]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda one: Release(*one, set_values(one[0])), wanted))


def each_release(test):
    """A test of one release becomes a test of all of them."""

    @functools.wraps(test)
    def loop(self):
        for release in rendered():
            with self.subTest(str(release)):
                test(self, release)

    return loop


def made_of(values, helm="helm4", name="made up", **options):
    """A release of values that a test makes up, beside the Redis that all need."""
    return Release(name, helm, merged(REDIS, values), **options)


def selects(labels, wanted):
    """Whether a selector of labels fits."""
    return wanted.items() <= labels.items()
