"""Values that can't work are refused, and what is said tells what to do."""

import json
import unittest
from concurrent.futures import ThreadPoolExecutor

import chart

SCALED = {"enabled": True}
HOSTS = [{"host": "live.example"}]
ROUTED = {"enabled": True, "hosts": HOSTS, "controller": "haproxy"}
ALB = ROUTED | {"controller": "alb"}
KEDA = SCALED | {"engine": "keda", "keda": {"serverAddress": "http://prometheus"}}
POLICY = {"networkPolicy": {"enabled": True}}
ENDPOINTS = {"endpoints": [{"path": "/ws", "allowed_origins": ["https://shop.example"]}]}
ASKED = {"existingSecret": "own", "existingSecretKeys": {"forwardAuthUrl": "url"}}
FROM = {"valueFrom": {"secretKeyRef": {"name": "own", "key": "key"}}}


def tls(**values):
    return {"redis": values | {"tls": {"enabled": True} | values.get("tls", {})}}


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
        {"ingress": ROUTED | {"idleTimeoutSeconds": 30}},
        ["ingress.idleTimeoutSeconds: 30 would end connections between two pings"],
    ),
    *(
        (
            {"ingress": ROUTED, "config": {"keepalive": {"ping_every": every}}},
            ["ingress.idleTimeoutSeconds: 75", f"keepalive.ping_every is {every}"],
        )
        for every in ("90s", "2m", "90000ms", "1m30s", "1m 15s")
    ),
    (
        {"ingress": ROUTED, "env": {"REDCAST_KEEPALIVE__PING_EVERY": "80s"}},
        ["ingress.idleTimeoutSeconds: 75", "keepalive.ping_every is 80s"],
    ),
    (
        {"ingress": ROUTED, "config": {"keepalive": {"ping_every": "1min"}}},
        ["keepalive.ping_every: 1min can't be compared", "write it with ms, s, m or h"],
    ),
    ({"ingress": ALB | {"idleTimeoutSeconds": 4001}}, ["ingress.idleTimeoutSeconds: an ALB takes 4000"]),
    ({"ingress": ALB, "drain": {"windowSeconds": 3591}}, ["drain: 3601 s are longer than the 3600 s"]),
    (
        {"ingress": ALB | {"sticky": {"enabled": True, "maxAgeSeconds": 604801}}},
        ["ingress.sticky.maxAgeSeconds: an ALB takes 604800"],
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
    # The network.
    (
        POLICY | {"redis": {"url": "rediss://redis:6380/0"}},
        ["networkPolicy.egress.redis.ports: 6380 is missing"],
    ),
    (
        POLICY | {"redis": {"url": "", "nodes": ["redis://a", "redis://u:p@b:7000"]}},
        ["networkPolicy.egress.redis.ports: 7000 is missing"],
    ),
    (
        POLICY | {"redis": {"url": "", "sentinel": {"hosts": ["a", "b:26380"], "primary": "p"}}},
        ["redis.ports: 26379 is missing", "redis.ports: 26380 is missing"],
    ),
    (
        POLICY | {"redis": {"url": "redis+cluster://a:7001,[::1]:7002"}},
        ["redis.ports: 7001 is missing", "redis.ports: 7002 is missing"],
    ),
    (POLICY | ASKED | {"config": ENDPOINTS}, ["networkPolicy.egress.extra: must let the gateway reach"]),
    # Updates.
    (
        {"strategy": {"rollingUpdate": {"maxSurge": 0}}},
        ["strategy.rollingUpdate: maxSurge and maxUnavailable are both 0"],
    ),
    (
        {"strategy": {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "0%"}}},
        ["strategy.rollingUpdate: maxSurge and maxUnavailable are both 0"],
    ),
    # Secrets that would not be.
    *(
        ({"env": {f"REDCAST_{name}": "text"}}, [f"env.REDCAST_{name}: would stand in the Deployment"])
        for name in (
            "REDIS__URL",
            "REDIS__NODES",
            "REDIS__SENTINEL_PASSWORD",
            "API__KEY",
            "AUTH__FORWARD_URL",
        )
    ),
    (
        {"extraEnv": [{"name": "REDCAST_API__KEY", "value": "text"}]},
        ["env.REDCAST_API__KEY: would stand in the Deployment", "set existingSecret"],
    ),
    (
        {"extraEnv": [FROM | {"name": "REDCAST_API__KEY"}], "secrets": {"apiKey": "plain"}},
        ["extraEnv.REDCAST_API__KEY: the chart has a file for it"],
    ),
    (
        {"extraEnv": [FROM | {"name": "REDCAST_REDIS__URL"}]},
        ["redis.url, extraEnv.REDCAST_REDIS__URL are set; leave one"],
    ),
    (
        {"env": {"A": 1}, "extraEnv": [{"name": "A", "value": "2"}]},
        ["extraEnv.A: is set twice"],
    ),
    # TLS that would not be.
    (tls(url="redis://redis:6379"), ["redis.tls.enabled: is for sentinel.hosts and cluster.hosts"]),
    (tls(url="", nodes=["rediss://a", "redis://b"]), ["redis.tls.enabled: is for sentinel.hosts"]),
    (tls(url="", existingSecret="redis"), ["redis.tls.enabled: is for sentinel.hosts"]),
    ({"redis": {"tls": {"caSecret": "ca"}}}, ["redis.tls: certificates are given"]),
    (
        {"redis": {"url": "", "cluster": {"hosts": ["a"]}, "tls": {"clientSecret": "client"}}},
        ["redis.tls: certificates are given", "set redis.tls.enabled"],
    ),
    # Who is asked about handshakes.
    (ASKED, ["existingSecretKeys.forwardAuthUrl: the built-in endpoint", "set config.endpoints"]),
    (
        {"config": {"auth": {"forward_url": "http://a", "forward_headers": ["Cookie"]}}},
        ["config.auth.forward_url: the built-in endpoint"],
    ),
    (
        ASKED | {"config": ENDPOINTS | {"auth": {"forward_url": "http://auth"}}},
        ["auth: existingSecretKeys.forwardAuthUrl, config.auth.forward_url are set; leave one"],
    ),
    # Values that would do nothing.
    ({"service": {"externalTrafficPolicy": "Local"}}, ["service.externalTrafficPolicy: a Service of type"]),
    (
        {"service": {"type": "NodePort", "loadBalancerClass": "a/b"}},
        ["service.loadBalancerClass: a Service of type NodePort has none"],
    ),
    ({"service": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}, ["service.loadBalancerSourceRanges: a"]),
    ({"autoscaling": KEDA | {"customMetrics": [{"type": "Pods"}]}}, ["autoscaling.customMetrics: KEDA"]),
    ({"autoscaling": KEDA | {"metricName": "own"}}, ["autoscaling.metricName: KEDA asks Prometheus"]),
    ({"autoscaling": SCALED | {"keda": {"triggers": [{"type": "cron"}]}}}, ["keda.triggers: are KEDA's"]),
    (
        {"metrics": {"dashboards": {"grafanaOperator": {"enabled": True}}}},
        ["metrics.dashboards.grafanaOperator", "set metrics.dashboards.enabled"],
    ),
    (
        {"metrics": {"prometheusRule": {"disabled": ["RedcastDwon"]}}},
        ["metrics.prometheusRule.disabled: there is no alert RedcastDwon"],
    ),
    (
        {"metrics": {"podMonitor": {"scrapeTimeout": "16s"}}},
        ["metrics.podMonitor.scrapeTimeout: 16s is longer than interval, 15s"],
    ),
    (
        {"metrics": {"prometheusRule": {"enabled": True}}, "drain": {"windowSeconds": 595}},
        ["drain: 600 s are longer", "RedcastDrainStuck"],
    ),
    ({"tests": {"settleSeconds": 60}}, ["tests.timeoutSeconds: 120 is too short"]),
    (
        {"autoscaling": SCALED, "env": {"REDCAST_LIMITS__MAX_CONNECTIONS": 15000}},
        ["autoscaling.connectionsPerPod: 20000 is never exceeded, because limits.max_connections is 15000"],
    ),
    # Helm 3 and the chart say it in words of their own.
    ({"redis": {"url": "redis://a\x7fb:6379"}}, ["character"]),
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
    ({"fullnameOverride": "Red_Cast.live"}, ["fullnameOverride", "pattern"]),
]

# What looks much the same and works.
TAKEN = [
    {"ingress": {"idleTimeoutSeconds": 30}},
    {"ingress": ROUTED | {"controller": "traefik", "idleTimeoutSeconds": 30}},
    {"ingress": ROUTED, "config": {"keepalive": {"ping_every": "1m 14s"}}},
    {
        "ingress": ROUTED,
        "config": {"keepalive": {"ping_every": "90s"}},
        "env": {"REDCAST_KEEPALIVE__PING_EVERY": "9s"},
    },
    POLICY | {"redis": {"url": "unix:///run/redis.sock"}},
    POLICY | {"redis": {"url": "", "existingSecret": "redis"}},
    {"redis": {"url": "redis+unix:///run/redis.sock"}},
    {"redis": {"url": "", "nodes": ["redis+unix:///run/redis.sock"]}},
    {"redis": {"url": ""}, "extraEnv": [FROM | {"name": "REDCAST_REDIS__URL"}]},
    {"extraEnv": [FROM | {"name": "REDCAST_API__KEY"}]},
    tls(url="rediss://redis", tls={"caSecret": "ca"}),
    {"redis": {"url": "", "existingSecret": "redis", "tls": {"caSecret": "ca"}}},
    ASKED | {"config": {"auth": {"forward_headers": ["authorization", "x-cookie-free"]}}},
    {"service": {"type": "NodePort", "externalTrafficPolicy": "Local"}},
    {
        "metrics": {"prometheusRule": {"enabled": True, "disabled": ["RedcastDrainStuck"]}},
        "drain": {"windowSeconds": 595},
    },
    {"enabled": True, "global": {"storageClass": "fast"}},
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

    def test_what_looks_like_them_is_taken(self):
        with ThreadPoolExecutor() as pool:
            ran = pool.map(lambda values: chart.template("helm4", chart.merged(chart.REDIS, values)), TAKEN)
            for values, result in zip(TAKEN, ran):
                with self.subTest(json.dumps(values)):
                    self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_release_whose_name_no_service_can_have(self):
        said = chart.template("helm4", chart.REDIS, release="live.eu").stderr
        self.assertIn("fullnameOverride: must be set", said)
        self.assertIn("can't be called live.eu-redcast", said)

    def test_the_documentation_shows_what_is_said(self):
        values = {"replicaCount": 3, "autoscaling": SCALED, "terminationGracePeriodSeconds": 30}
        said = chart.template("helm4", chart.merged(chart.REDIS, values)).stderr
        said = said[said.index("These values") :].split("\n\n")[0].strip()
        self.assertIn(said, (chart.ROOT / "docs/KUBERNETES.md").read_text())
