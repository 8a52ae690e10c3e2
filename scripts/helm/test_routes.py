"""How clients get in: Services, the Ingress with its sticky switch, the route."""

import unittest

import chart

TRAEFIK = "traefik.ingress.kubernetes.io/service.sticky.cookie"
ALB = "alb.ingress.kubernetes.io/"
NGINX = "nginx.ingress.kubernetes.io/"
GROUP = "load_balancing.algorithm.type=least_outstanding_requests,deregistration_delay.timeout_seconds=40"

# What each controller is told always, and with the sticky switch: on the Service, then on
# the Ingress. haproxytech reads cookie-persistence from Services and its ConfigMap alone,
# Traefik the cookie from Services.
CONTROLLERS = {
    "traefik": (
        {},
        {},
        {
            TRAEFIK: "true",
            TRAEFIK + ".name": "redcast_affinity",
            TRAEFIK + ".httponly": "true",
            TRAEFIK + ".secure": "true",
            TRAEFIK + ".samesite": "lax",
            TRAEFIK + ".maxage": "3600",
        },
        {},
    ),
    "haproxy": (
        {"haproxy.org/load-balance": "leastconn", "haproxy.org/timeout-server": "75s"},
        {},
        {"haproxy.org/cookie-persistence": "redcast_affinity"},
        {},
    ),
    "alb": (
        {},
        {
            ALB + "target-type": "ip",
            ALB + "healthcheck-path": "/readyz",
            ALB + "healthcheck-port": "9464",
            ALB + "target-group-attributes": GROUP,
            ALB + "load-balancer-attributes": "idle_timeout.timeout_seconds=75",
        },
        {},
        {
            ALB + "target-group-attributes": GROUP
            + ",stickiness.enabled=true,stickiness.type=lb_cookie,stickiness.lb_cookie.duration_seconds=3600",
        },
    ),
    "nginx": (
        {},
        {NGINX + "proxy-read-timeout": "75", NGINX + "proxy-send-timeout": "75"},
        {},
        {
            NGINX + "affinity": "cookie",
            NGINX + "affinity-mode": "balanced",
            NGINX + "session-cookie-name": "redcast_affinity",
            NGINX + "session-cookie-max-age": "3600",
            NGINX + "session-cookie-expires": "3600",
            NGINX + "session-cookie-samesite": "Lax",
            NGINX + "session-cookie-secure": "true",
            NGINX + "session-cookie-change-on-failure": "true",
        },
    ),
}


def ingress(**values):
    return chart.made_of({"ingress": {"enabled": True, "hosts": [{"host": "live.example"}], **values}})


def annotations(document):
    return document["metadata"].get("annotations", {})


class Routes(unittest.TestCase):
    @chart.each_release
    def test_services_lead_to_ports_that_exist(self, release):
        ports = {port["name"]: port["containerPort"] for port in release.container["ports"]}
        admin = release.values["admin"]["service"]["enabled"]
        self.assertEqual(set(release.services), {"http", "admin"} if admin else {"http"})
        for name, service in release.services.items():
            self.assertEqual([port["name"] for port in service["spec"]["ports"]], [name])
            port = service["spec"]["ports"][0]
            self.assertIn(port["targetPort"], ports)
            self.assertEqual(port["appProtocol"], "http")
        public = release.services["http"]["spec"]
        self.assertEqual(public["ports"][0]["targetPort"], "http")
        self.assertEqual(public["ports"][0]["port"], release.values["service"]["port"])
        self.assertEqual(public["type"], release.values["service"]["type"])

    def test_a_pod_that_drains_is_still_watched(self):
        self.assertIs(chart.made_of({}).services["admin"]["spec"]["publishNotReadyAddresses"], True)

    @chart.each_release
    def test_routes_lead_to_the_public_service(self, release):
        service = release.services["http"]
        name, port = service["metadata"]["name"], service["spec"]["ports"][0]
        self.assertEqual(len(release.all("Ingress")), int(release.values["ingress"]["enabled"]))
        self.assertEqual(len(release.all("HTTPRoute")), int(release.values["httpRoute"]["enabled"]))
        for document in release.all("Ingress"):
            for rule in document["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    self.assertEqual(
                        path["backend"]["service"], {"name": name, "port": {"name": port["name"]}}
                    )
        for document in release.all("HTTPRoute"):
            values = release.values["httpRoute"]
            for rule in document["spec"]["rules"]:
                self.assertEqual(rule["backendRefs"], [{"name": name, "port": port["port"]}])
                for key in ("matches", "filters", "timeouts", "sessionPersistence"):
                    self.assertEqual(rule.get(key), values[key] or None)
            self.assertEqual(document["spec"]["parentRefs"], values["parentRefs"])

    def test_a_route_has_no_timeouts_unless_asked_for(self):
        values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}}
        rule = chart.made_of(values).one("HTTPRoute")["spec"]["rules"][0]
        self.assertEqual(set(rule), {"backendRefs", "matches"})

    def test_each_controller_hears_what_it_reads(self):
        for controller, (service, route, sticky_service, sticky_route) in CONTROLLERS.items():
            for sticky in (False, True):
                with self.subTest(f"{controller}, sticky {sticky}"):
                    release = ingress(controller=controller, sticky={"enabled": sticky})
                    wanted = service | (sticky_service if sticky else {})
                    self.assertEqual(annotations(release.services["http"]), wanted)
                    wanted = route | (sticky_route if sticky else {})
                    self.assertEqual(annotations(release.one("Ingress")), wanted)

    def test_no_controller_no_annotations(self):
        release = ingress()
        self.assertEqual(annotations(release.services["http"]) | annotations(release.one("Ingress")), {})
        # Without an Ingress its controller has nothing to say of the Service.
        release = chart.made_of({"ingress": {"controller": "haproxy"}})
        self.assertEqual(annotations(release.services["http"]), {})

    def test_what_the_user_says_wins(self):
        own = {NGINX + "proxy-read-timeout": "900", "other": "1"}
        said = annotations(ingress(controller="nginx", annotations=own).one("Ingress"))
        self.assertEqual(said, own | {NGINX + "proxy-send-timeout": "75"})
        values = {"service": {"annotations": {"haproxy.org/load-balance": "random"}}}
        values["ingress"] = {"enabled": True, "hosts": [{}], "controller": "haproxy"}
        said = annotations(chart.made_of(values).services["http"])
        self.assertEqual(said["haproxy.org/load-balance"], "random")

    def test_the_load_balancer_waits_as_long_as_a_drain(self):
        drain = {"preStopSeconds": 7, "acceptSeconds": 11, "windowSeconds": 100}
        values = {"ingress": {"enabled": True, "hosts": [{}], "controller": "alb"}, "drain": drain}
        said = annotations(chart.made_of(values).one("Ingress"))[ALB + "target-group-attributes"]
        self.assertIn("deregistration_delay.timeout_seconds=118", said)


class Network(unittest.TestCase):
    def policy(self, **values):
        return chart.made_of({"networkPolicy": {"enabled": True, **values}}).one("NetworkPolicy")["spec"]

    def rule(self, policy, way, port):
        rules = [one for one in policy[way] if port in [allowed["port"] for allowed in one["ports"]]]
        self.assertEqual(len(rules), 1, f"{way} of port {port}")
        return rules[0]

    @chart.each_release
    def test_it_is_about_the_pods(self, release):
        policies = release.all("NetworkPolicy")
        self.assertEqual(len(policies), int(release.values["networkPolicy"]["enabled"]))
        ports = {port["name"] for port in release.container["ports"]}
        for policy in policies:
            selector = policy["spec"]["podSelector"]["matchLabels"]
            self.assertTrue(chart.selects(release.pod["metadata"]["labels"], selector))
            self.assertEqual(policy["spec"]["policyTypes"], ["Ingress", "Egress"])
            for rule in policy["spec"]["ingress"]:
                self.assertLessEqual({port["port"] for port in rule["ports"]}, ports)

    def test_by_default_clients_prometheus_dns_and_redis(self):
        policy = self.policy()
        self.assertNotIn("from", self.rule(policy, "ingress", "http"))
        namespace = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
        self.assertEqual(self.rule(policy, "ingress", "admin")["from"], [{"namespaceSelector": namespace}])
        dns = self.rule(policy, "egress", 53)
        self.assertEqual({port["protocol"] for port in dns["ports"]}, {"UDP", "TCP"})
        self.assertEqual(dns["to"][0]["podSelector"], {"matchLabels": {"k8s-app": "kube-dns"}})
        self.assertNotIn("to", self.rule(policy, "egress", 6379))
        self.assertEqual((len(policy["ingress"]), len(policy["egress"])), (2, 2))

    def test_no_peer_for_the_admin_port_means_nobody(self):
        policy = self.policy(adminFrom=[])
        self.assertEqual(len(policy["ingress"]), 1)
        self.assertEqual(policy["ingress"][0]["ports"][0]["port"], "http")

    def test_redis_is_reached_where_it_is(self):
        labels = {"matchLabels": {"app": "redis"}}
        redis = {
            "ports": [6379, 26379],
            "cidrs": ["10.0.0.0/24"],
            "podSelector": labels,
            "namespaceSelector": labels,
        }
        rule = self.rule(self.policy(egress={"redis": redis}), "egress", 26379)
        wanted = [{"ipBlock": {"cidr": "10.0.0.0/24"}}, {"podSelector": labels, "namespaceSelector": labels}]
        self.assertEqual(rule["to"], wanted)

    def test_the_test_is_let_in(self):
        peer = {"podSelector": {"matchLabels": {"app": "proxy"}}}
        rule = self.rule(self.policy(ingressFrom=[peer]), "ingress", "http")
        self.assertEqual(rule["from"][0], peer)
        labels = chart.made_of({}).one("Pod")["metadata"]["labels"]
        self.assertTrue(chart.selects(labels, rule["from"][1]["podSelector"]["matchLabels"]))
