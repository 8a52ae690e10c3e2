"""Every documented value does something: changed alone, it changes what is rendered."""

import unittest
from concurrent.futures import ThreadPoolExecutor

import chart
import values

ROUTE = {"enabled": True, "parentRefs": [{"name": "public"}]}
HPA = {"enabled": True}
KEDA = HPA | {"engine": "keda", "keda": {"serverAddress": "http://prometheus"}}
STICKY = {"enabled": True, "hosts": [{}], "controller": "nginx", "sticky": {"enabled": True}}
CLUSTER = {"redis": {"url": "", "cluster": {"hosts": ["redis"]}}}
NODES = {"redis": {"url": "", "existingSecret": "redis", "existingSecretKeys": {"url": "", "nodes": "nodes"}}}
TLS = {"redis": {"url": "rediss://redis", "tls": {"caSecret": "ca", "clientSecret": "client"}}}
OWN = {"existingSecret": "own", "existingSecretKeys": {"apiKey": "key"}}
ENDPOINTS = {"config": {"endpoints": [{"path": "/ws"}]}}
OBJECTS = [{"name": "another"}]

# What else must be set for a value to matter: that of the nearest key above it.
NEEDED = {
    "existingSecret": OWN,
    "existingSecretKeys.apiKey": OWN,
    "existingSecretKeys.forwardAuthUrl": OWN | ENDPOINTS,
    "secrets.forwardAuthUrl": ENDPOINTS,
    "redis.nodes": {"redis": {"url": "", "nodes": ["redis://redis"]}},
    "redis.sentinel": {"redis": {"url": "", "sentinel": {"hosts": ["redis"], "primary": "orders"}}},
    "redis.cluster": CLUSTER,
    "redis.existingSecret": {"redis": {"url": "", "existingSecret": "redis"}},
    "redis.existingSecretKeys": {"redis": {"url": "", "existingSecret": "redis"}},
    "redis.existingSecretKeys.nodes": NODES,
    "redis.tls": TLS,
    "redis.tls.enabled": CLUSTER,
    "service": {"service": {"type": "LoadBalancer"}},
    "service.type": {},
    "ingress": {"ingress": STICKY},
    "ingress.enabled": {"ingress": {"hosts": [{}]}},
    "httpRoute": {"httpRoute": ROUTE},
    "httpRoute.enabled": {"httpRoute": {"parentRefs": [{"name": "public"}]}},
    "autoscaling": {"autoscaling": HPA},
    "autoscaling.enabled": {},
    "autoscaling.engine": {"autoscaling": HPA | {"keda": {"serverAddress": "http://prometheus"}}},
    "autoscaling.keda": {"autoscaling": KEDA},
    "networkPolicy": {"networkPolicy": {"enabled": True}},
    "metrics.serviceMonitor": {"metrics": {"serviceMonitor": {"enabled": True}}},
    "metrics.podMonitor": {"metrics": {"podMonitor": {"enabled": True}}},
    "metrics.prometheusRule": {"metrics": {"prometheusRule": {"enabled": True}}},
    "metrics.dashboards": {"metrics": {"dashboards": {"enabled": True}}},
    "metrics.dashboards.grafanaOperator": {
        "metrics": {"dashboards": {"enabled": True, "grafanaOperator": {"enabled": True}}}
    },
    "tests.websocket": {"tests": {"websocket": {"enabled": True}}},
}
# Another value, where the kind of the default does not say which would be one.
OTHER = {
    "image.digest": "sha256:" + "a" * 64,
    "image.pullPolicy": "Always",
    "commonLabels": {"another": "label"},
    "strategy": {"type": "Recreate"},
    "terminationGracePeriodSeconds": 600,
    "config": {"log": {"level": "debug"}},
    "envFrom": [{"secretRef": {"name": "another"}}],
    "extraEnv": [{"name": "ANOTHER", "value": "text"}],
    "redis.url": "redis://another",
    "redis.nodes": ["redis://another"],
    "redis.sentinel.hosts": ["another"],
    "redis.cluster.hosts": ["another"],
    "service.type": "NodePort",
    "service.nodePort": 30080,
    "service.externalTrafficPolicy": "Local",
    "service.sessionAffinity": "ClientIP",
    "ingress.hosts": [{"host": "another.example"}],
    "ingress.tls": [{"secretName": "another"}],
    "ingress.controller": "traefik",
    "ingress.sticky.sameSite": "strict",
    "httpRoute.timeouts": {"request": "0s"},
    "httpRoute.sessionPersistence": {"type": "Cookie"},
    "autoscaling.engine": "keda",
    "autoscaling.behavior": {"scaleUp": {"stabilizationWindowSeconds": 60}},
    "autoscaling.keda.serverAddress": "http://another",
    "autoscaling.keda.fallback": {"replicas": 4},
    "resources": {"requests": {"memory": "300Mi"}},
    "tests.resources": {"requests": {"memory": "300Mi"}},
    "sysctls": [{"name": "net.core.somaxconn", "value": "4096"}],
    "networkPolicy.egress.redis.ports": [6379, 7000],
    "networkPolicy.egress.redis.cidrs": ["192.0.2.0/24"],
    "networkPolicy.egress.redis.podSelector": {"matchLabels": {"app": "redis"}},
    "networkPolicy.egress.redis.namespaceSelector": {"matchLabels": {"app": "redis"}},
    "metrics.serviceMonitor.interval": "60s",
    "metrics.serviceMonitor.scrapeTimeout": "5s",
    "metrics.podMonitor.interval": "60s",
    "metrics.podMonitor.scrapeTimeout": "5s",
    "metrics.prometheusRule.runbookBase": "https://wiki.example",
    "metrics.prometheusRule.disabled": ["RedcastDown"],
    "metrics.dashboards.grafanaOperator.instanceSelector": {"matchLabels": {"app": "grafana"}},
    "metrics.dashboards.grafanaOperator.resyncPeriod": "1h",
    "tests.websocket.path": "/another",
    "extraObjects": [{"kind": "ConfigMap", "metadata": {"name": "another"}}],
}
NAMES = {"imagePullSecrets", "loadBalancerSourceRanges", "hostnames"}


def another(entry):
    """A value that is not the default."""
    if entry.name in OTHER:
        return OTHER[entry.name]
    default = entry.value
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    if isinstance(default, dict):
        return {"another": "text"}
    if isinstance(default, list):
        return ["another"] if entry.path[-1] in NAMES else OBJECTS
    return 7 if default is None else default + "another"


def needed(entry):
    """The values beside which it matters."""
    for length in range(len(entry.path), 0, -1):
        name = ".".join(entry.path[:length])
        if name in NEEDED:
            return chart.merged(chart.REDIS, NEEDED[name])
    return chart.REDIS


def with_another(below, entry):
    tree = another(entry)
    # Where it is set already, another is one that differs from that.
    if values.has(below, entry.path) and values.at(below, entry.path) == tree:
        tree = entry.value
    for key in reversed(entry.path):
        tree = {key: tree}
    return chart.merged(below, tree)


def rendered(wanted):
    ran = chart.template("helm4", wanted)
    return ran.stdout if ran.returncode == 0 else f"refused: {ran.stderr}"


class Effects(unittest.TestCase):
    def test_every_value_changes_what_is_rendered(self):
        kept = values.documented()
        entries = [entry for entry in kept if not values.is_section(entry, kept)]
        self.assertGreater(len(entries), 150)
        below = [needed(entry) for entry in entries]
        unlike = [wanted for index, wanted in enumerate(below) if wanted not in below[:index]]
        above = [with_another(one, entry) for one, entry in zip(below, entries)]
        with ThreadPoolExecutor() as pool:
            texts = list(pool.map(rendered, unlike + above))
        before = texts[: len(unlike)]
        for entry, start, text in zip(entries, below, texts[len(unlike) :]):
            with self.subTest(entry.name):
                self.assertFalse(text.startswith("refused: "), text)
                self.assertNotEqual(text, before[unlike.index(start)], "changes nothing")
        for text in before:
            self.assertFalse(text.startswith("refused: "), text)

    def test_no_key_of_the_tables_is_gone(self):
        names = {entry.name for entry in values.documented()}
        self.assertEqual((NEEDED.keys() | OTHER.keys()) - names, set())
