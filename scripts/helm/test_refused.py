"""Values that can't work are refused, and what is said tells what to do."""

import json
import unittest
from concurrent.futures import ThreadPoolExecutor

import chart

SCALED = {"enabled": True}
HOSTS = [{"host": "live.example"}]

# The values, and words that the refusal must have.
REFUSED = [
    ({"redis": {"url": ""}}, ["redis: no Redis is set", "redis.existingSecret"]),
    ({"redis": {"nodes": ["redis://b:6379"]}}, ["redis.url, redis.nodes are set; leave one"]),
    ({"redis": {"existingSecret": "redis"}}, ["redis.url, redis.existingSecret are set; leave one"]),
    ({"redis": {"url": "", "sentinel": {"hosts": ["a:26379"]}}}, ["redis.sentinel.primary: must be set"]),
    (
        {"redis": {"url": "", "existingSecret": "redis", "existingSecretKeys": {"nodes": "nodes"}}},
        ["url and nodes are set"],
    ),
    ({"existingSecret": "own"}, ["existingSecret: nothing is taken from own"]),
    ({"existingSecretKeys": {"apiKey": "key"}}, ["existingSecretKeys: keys of which Secret"]),
    (
        {"existingSecret": "own", "existingSecretKeys": {"apiKey": "key"}, "secrets": {"apiKey": "plain"}},
        ["secrets: existingSecret is set, too"],
    ),
    ({"config": {"http": {"listen": "0.0.0.0:80"}}}, ["config.http.listen", "service.containerPort"]),
    ({"config": {"shutdown": {"window": "5m"}}}, ["config.shutdown.window", "drain.windowSeconds"]),
    ({"config": {"redis": {"url": "redis://a"}}}, ["config.redis.url", "redis.url"]),
    ({"config": {"api": {"key": "plain"}}}, ["config.api.key", "existingSecret"]),
    ({"config": {"auth": {"forward_url": "http://u:p@auth/"}}}, ["config.auth.forward_url", "leave it out"]),
    ({"env": {"REDCAST_SHUTDOWN__WINDOW": "5m"}}, ["env.REDCAST_SHUTDOWN__WINDOW: the chart sets it itself"]),
    (
        {"extraEnv": [{"name": "REDCAST_CONFIG", "value": "/x"}]},
        ["env.REDCAST_CONFIG: the chart sets it itself"],
    ),
    (
        {"terminationGracePeriodSeconds": 54},
        ["54 is too short; a pod needs 55 to drain", "5 preStop + 5 accept + 30 window + 15 margin"],
    ),
    (
        {"drain": {"windowSeconds": 300}, "terminationGracePeriodSeconds": 60},
        ["terminationGracePeriodSeconds: 60 is too short; a pod needs 325"],
    ),
    ({"minReadySeconds": 30, "progressDeadlineSeconds": 30}, ["progressDeadlineSeconds: 30 is over before"]),
    (
        {"replicaCount": 3, "autoscaling": SCALED},
        ["replicaCount: 3 is set and autoscaling.enabled", "autoscaling.minReplicas"],
    ),
    ({"replicaCount": 0, "autoscaling": SCALED}, ["replicaCount: 0 is set and autoscaling.enabled"]),
    (
        {
            "replicaCount": 3,
            "autoscaling": SCALED | {"engine": "keda", "keda": {"serverAddress": "http://p"}},
        },
        ["replicaCount: 3 is set and autoscaling.enabled"],
    ),
    (
        {"autoscaling": SCALED | {"minReplicas": 11}},
        ["autoscaling.minReplicas: 11 is more than maxReplicas, 10"],
    ),
    ({"autoscaling": SCALED | {"connectionsPerPod": None}}, ["autoscaling: nothing to scale by"]),
    (
        {"autoscaling": SCALED, "config": {"limits": {"max_connections": 20000}}},
        ["autoscaling.connectionsPerPod: 20000 is never exceeded"],
    ),
    ({"autoscaling": SCALED | {"engine": "keda"}}, ["autoscaling.keda.serverAddress: must be set"]),
    (
        {"autoscaling": SCALED | {"cpu": 70}, "resources": {"requests": {"cpu": None}}},
        ["autoscaling.cpu: is a share of resources.requests.cpu, which is not set"],
    ),
    ({"ingress": {"enabled": True}}, ["ingress.hosts: must be set"]),
    (
        {"ingress": {"enabled": True, "hosts": HOSTS, "sticky": {"enabled": True}}},
        ["ingress.sticky", "set ingress.controller"],
    ),
    (
        {"ingress": {"controller": "alb", "sticky": {"enabled": True}}},
        ["ingress.sticky", "set ingress.enabled"],
    ),
    (
        {"ingress": {"sticky": {"sameSite": "none", "secure": False}}},
        ["ingress.sticky.sameSite: browsers drop a cookie"],
    ),
    (
        {"ingress": {"idleTimeoutSeconds": 30}},
        ["ingress.idleTimeoutSeconds: 30 would end connections between two pings"],
    ),
    (
        {"config": {"keepalive": {"ping_every": "90s"}}},
        ["ingress.idleTimeoutSeconds: 75", "config.keepalive.ping_every is 90s"],
    ),
    ({"httpRoute": {"enabled": True}}, ["httpRoute.parentRefs: must be set"]),
    ({"service": {"nodePort": 30080}}, ["service.nodePort: a Service of type ClusterIP has none"]),
    (
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
        ["metrics.podMonitor", "counted twice"],
    ),
    (
        {"metrics": {"serviceMonitor": {"enabled": True}}, "admin": {"service": {"enabled": False}}},
        ["metrics.serviceMonitor", "set admin.service.enabled"],
    ),
    # Two mistakes are told at once.
    (
        {"replicaCount": 3, "autoscaling": SCALED, "terminationGracePeriodSeconds": 1},
        ["replicaCount: 3", "terminationGracePeriodSeconds: 1 is too short"],
    ),
    # What the schema refuses: each Helm has words of its own, the key is in both.
    ({"replicas": 3}, ["replicas"]),
    ({"config": {"htttp": {}}}, ["htttp"]),
    ({"ingress": {"sticky": {"cookie": "a"}}}, ["cookie"]),
    ({"metrics": {"serviceMonitor": {"enable": True}}}, ["enable"]),
    ({"redis": {"url": "localhost:6379"}}, ["url", "pattern"]),
    ({"ingress": {"controller": "istio"}}, ["controller"]),
    ({"autoscaling": {"engine": "vpa"}}, ["engine"]),
    ({"drain": {"marginSeconds": 4}}, ["marginSeconds", "5"]),
    ({"podDisruptionBudget": {"minAvailable": 1}}, ["minAvailable"]),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, ["maxUnavailable"]),
    ({"service": {"port": 70000}}, ["port", "65"]),
    ({"replicaCount": "3"}, ["replicaCount"]),
    ({"tests": {"websocket": {"path": "ws"}}}, ["path", "pattern"]),
]


class Refused(unittest.TestCase):
    def test_values_that_cannot_work(self):
        cases = [(helm, values, words) for helm in chart.HELMS for values, words in REFUSED]
        with ThreadPoolExecutor() as pool:
            ran = list(
                pool.map(lambda case: chart.template(case[0], chart.merged(chart.REDIS, case[1])), cases)
            )
        for (helm, values, words), result in zip(cases, ran):
            with self.subTest(f"{helm} {json.dumps(values)}"):
                self.assertNotEqual(result.returncode, 0, "is not refused")
                for word in words:
                    self.assertIn(word, result.stderr)
