"""The pods: how many, how they end, what they may do."""

import re
import unittest

import chart


class Workload(unittest.TestCase):
    def test_both_helms_render_the_same(self):
        for name in chart.SETS:
            with self.subTest(name):
                three, four = (release for release in chart.rendered() if release.name == name)
                self.assertEqual(three.documents, four.documents)

    @chart.each_release
    def test_replicas_and_an_autoscaler_exclude_each_other(self, release):
        scale = release.values["autoscaling"]
        scalers = release.all("HorizontalPodAutoscaler") + release.all("ScaledObject")
        if not scale["enabled"]:
            self.assertEqual(scalers, [])
            wanted = release.values["replicaCount"]
            self.assertEqual(release.deployment["spec"]["replicas"], 2 if wanted is None else wanted)
            return
        self.assertNotIn("replicas", release.deployment["spec"], "an autoscaler and replicas fight")
        self.assertEqual(len(scalers), 1)
        target = scalers[0]["spec"]["scaleTargetRef"]
        self.assertEqual(target["name"], release.deployment["metadata"]["name"])
        self.assertEqual((target["apiVersion"], target["kind"]), ("apps/v1", "Deployment"))

    def test_zero_replicas_are_no_default(self):
        self.assertEqual(chart.made_of({"replicaCount": 0}).deployment["spec"]["replicas"], 0)

    def test_autoscalers_look_at_connections(self):
        scale = {"enabled": True, "connectionsPerPod": 1234}
        pods = chart.made_of({"autoscaling": scale}).one("HorizontalPodAutoscaler")["spec"]["metrics"]
        self.assertEqual(len(pods), 1)
        self.assertEqual(pods[0]["pods"]["metric"]["name"], "redcast_connections")
        self.assertEqual(pods[0]["pods"]["target"], {"type": "AverageValue", "averageValue": "1234"})
        keda = scale | {"engine": "keda", "keda": {"serverAddress": "http://prometheus:9090"}}
        release = chart.made_of({"autoscaling": keda})
        metadata = release.one("ScaledObject")["spec"]["triggers"][0]["metadata"]
        self.assertEqual(metadata["threshold"], "1234")
        deployment = release.deployment["metadata"]["name"]
        self.assertEqual(metadata["ignoreNullValues"], "false", "no answer would mean no connections")
        self.assertIn(f'namespace="{chart.NAMESPACE}"', metadata["query"])
        # Prometheus anchors a pattern at both ends.
        pods = re.compile(re.search('pod=~"(.*)"', metadata["query"])[1])
        self.assertTrue(pods.fullmatch(f"{deployment}-5d4f8c7b9c-x2kqp"))
        self.assertFalse(pods.fullmatch(f"{deployment}-b-5d4f8c7b9c-x2kqp"), "of another release")
        self.assertFalse(pods.fullmatch(f"{deployment}-test"))

    @chart.each_release
    def test_an_update_follows_its_strategy(self, release):
        values = dict(release.values["strategy"])
        if values["type"] != "RollingUpdate":
            del values["rollingUpdate"]
        self.assertEqual(release.deployment["spec"]["strategy"], values)

    @chart.each_release
    def test_a_new_version_of_the_chart_restarts_no_pod(self, release):
        # The annotations are checksums of what pods read.
        labels = release.pod["metadata"]["labels"].keys()
        self.assertFalse(labels & {"helm.sh/chart", "app.kubernetes.io/version"})
        self.assertLessEqual(release.values["commonLabels"].keys(), labels)

    @chart.each_release
    def test_a_pod_is_given_the_time_that_its_drain_takes(self, release):
        drain = release.values["drain"]
        needed = sum(drain[key + "Seconds"] for key in ("preStop", "accept", "window", "margin"))
        wanted = release.values["terminationGracePeriodSeconds"] or needed
        self.assertEqual(release.pod["spec"]["terminationGracePeriodSeconds"], wanted)
        self.assertGreaterEqual(wanted, needed)
        self.assertEqual(release.environment["REDCAST_SHUTDOWN__ACCEPT_FOR"], f"{drain['acceptSeconds']}s")
        self.assertEqual(release.environment["REDCAST_SHUTDOWN__WINDOW"], f"{drain['windowSeconds']}s")
        hook = (
            {"preStop": {"sleep": {"seconds": drain["preStopSeconds"]}}} if drain["preStopSeconds"] else None
        )
        self.assertEqual(release.container.get("lifecycle"), hook)

    @chart.each_release
    def test_pods_are_restricted(self, release):
        for pod in (release.pod["spec"], *(one["spec"] for one in release.all("Pod"))):
            self.assertIs(pod["enableServiceLinks"], False)
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertFalse(pod.keys() & {"hostNetwork", "hostPID", "hostIPC"})
            self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for volume in pod["volumes"]:
                self.assertFalse(volume.keys() & {"hostPath"}, volume["name"])
            for container in pod["containers"]:
                if container["name"] == "beside":
                    continue  # of the value set, not of the chart
                context = container["securityContext"]
                self.assertIs(context["allowPrivilegeEscalation"], False)
                self.assertIs(context["readOnlyRootFilesystem"], True)
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertIn("memory", context and container["resources"]["requests"])
                self.assertNotIn("cpu", container["resources"]["limits"])

    @chart.each_release
    def test_probes_ask_ports_that_exist(self, release):
        ports = {port["name"] for port in release.container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.assertIn(release.container[probe]["httpGet"]["port"], ports)
        # A restart does not bring Redis back.
        self.assertEqual(release.container["livenessProbe"]["httpGet"]["path"], "/livez")
        self.assertEqual(release.container["readinessProbe"]["httpGet"]["path"], "/readyz")

    @chart.each_release
    def test_listeners_are_the_ports(self, release):
        ports = {port["name"]: port["containerPort"] for port in release.container["ports"]}
        self.assertEqual(release.environment["REDCAST_HTTP__LISTEN"], f"0.0.0.0:{ports['http']}")
        self.assertEqual(release.environment["REDCAST_ADMIN__LISTEN"], f"0.0.0.0:{ports['admin']}")

    @chart.each_release
    def test_pods_are_spread_and_kept_by_their_own_labels(self, release):
        labels = release.pod["metadata"]["labels"]
        spread = release.pod["spec"]["topologySpreadConstraints"]
        self.assertEqual(len(spread), 2)
        selectors = [one["labelSelector"]["matchLabels"] for one in spread]
        selectors.append(release.deployment["spec"]["selector"]["matchLabels"])
        budgets = release.all("PodDisruptionBudget")
        for budget in budgets:
            self.assertEqual(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow")
            self.assertNotIn("minAvailable", budget["spec"])
            selectors.append(budget["spec"]["selector"]["matchLabels"])
        self.assertEqual(len(budgets), int(release.values["podDisruptionBudget"]["enabled"]))
        selectors += [one["spec"]["selector"] for one in release.services.values()]
        for selector in selectors:
            self.assertTrue(chart.selects(labels, selector), selector)
            for test in release.all("Pod"):
                self.assertFalse(chart.selects(test["metadata"]["labels"], selector), "finds the test's pod")

    def test_a_selector_of_the_users_own_is_left_alone(self):
        own = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
        own["labelSelector"] = {"matchLabels": {"tier": "edge"}}
        pod = chart.made_of({"topologySpreadConstraints": [own]}).pod["spec"]
        self.assertEqual(pod["topologySpreadConstraints"], [own])

    def test_large_numbers_stay_whole(self):
        # YAML brings numbers as floats, and a million printed as 1e+06 is no number of pods.
        for helm in chart.HELMS:
            with self.subTest(helm):
                million, values = 1000000, {}
                values["env"] = {"NUMBER": 2592000, "SWITCH": True, "SHARE": 0.5}
                values["podSecurityContext"] = {"runAsUser": 1000650000}
                values["autoscaling"] = {"enabled": True, "connectionsPerPod": million, "maxReplicas": million}
                sticky = {"enabled": True, "maxAgeSeconds": 2592000}
                values["ingress"] = {"enabled": True, "hosts": [{}], "controller": "nginx", "sticky": sticky}
                release = chart.made_of(values, helm)
                self.assertNotRegex(release.text, r"[0-9]e\+")
                variables = release.environment
                self.assertEqual([variables[key] for key in values["env"]], ["2592000", "true", "0.5"])
                self.assertEqual(release.one("HorizontalPodAutoscaler")["spec"]["maxReplicas"], million)
                self.assertEqual(release.pod["spec"]["securityContext"]["runAsUser"], 1000650000)
                replicas = chart.made_of({"replicaCount": million}, helm).deployment["spec"]["replicas"]
                self.assertEqual(replicas, million)

    def test_one_pod_may_be_gone(self):
        spec = chart.made_of({}).one("PodDisruptionBudget")["spec"]
        self.assertEqual(spec["maxUnavailable"], 1)

    def test_images(self):
        for values, wanted in (
            ({}, "redcast:0.1.0"),
            ({"image": {"registry": "a.example", "tag": "2"}}, "a.example/redcast:2"),
            (
                {"image": {"registry": "a.example"}, "global": {"imageRegistry": "b.example"}},
                "b.example/redcast:0.1.0",
            ),
            ({"image": {"digest": "sha256:" + "a" * 64}}, "redcast@sha256:" + "a" * 64),
        ):
            with self.subTest(wanted):
                self.assertEqual(chart.made_of(values).container["image"], wanted)

    @chart.each_release
    def test_everything_has_a_home_and_labels(self, release):
        for document in release.documents:
            if document["metadata"]["name"].endswith(("-extra", "-text")):
                continue  # objects of the value set
            name = f"{document['kind']} {document['metadata']['name']}"
            self.assertIn(document["metadata"]["namespace"], (chart.NAMESPACE, "monitoring"), name)
            labels = document["metadata"]["labels"]
            self.assertEqual(labels["app.kubernetes.io/instance"], chart.RELEASE, name)
            self.assertLessEqual(len(document["metadata"]["name"]), 63)

    def test_long_names_stay_names(self):
        release = chart.made_of({"fullnameOverride": "n" * 80, "metrics": {"dashboards": {"enabled": True}}})
        for document in release.documents:
            self.assertLessEqual(len(document["metadata"]["name"]), 63, document["kind"])
        # A hash of ten characters between two dashes.
        self.assertLessEqual(len(release.deployment["metadata"]["name"]) + 12, 58)

    def test_a_label_stands_once_and_the_nearest_wins(self):
        own = {"own": "nearest", "app.kubernetes.io/name": "another"}
        values = {
            "commonLabels": {"own": "common", "app.kubernetes.io/instance": "another"},
            "podLabels": own,
            "podAnnotations": {"checksum/config": "another"},
            "service": {"labels": own},
            "admin": {"service": {"labels": own | {"redcast/port": "another"}}},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "labels": own},
            "metrics": {"serviceMonitor": {"enabled": True, "labels": own}},
        }
        release = chart.made_of(values)
        kinds = ("Service", "HTTPRoute", "ServiceMonitor")
        objects = [release.pod, *(one for kind in kinds for one in release.all(kind))]
        for labels in (one["metadata"]["labels"] for one in objects):
            self.assertEqual(labels["own"], "nearest")
            self.assertEqual(labels["app.kubernetes.io/name"], "redcast")
            self.assertEqual(labels["app.kubernetes.io/instance"], chart.RELEASE)
        self.assertEqual(release.one("ConfigMap")["metadata"]["labels"]["own"], "common")
        self.assertEqual(release.services["admin"]["metadata"]["labels"]["redcast/port"], "admin")

    def test_nothing_for_a_context_is_nothing(self):
        pod = chart.made_of({"podSecurityContext": None, "config": None}).pod["spec"]
        self.assertEqual(pod["securityContext"], {})
