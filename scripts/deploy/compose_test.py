"""What docker-compose.yml promises, and that scripts/up-local keeps to the same files."""

import functools
import ipaddress
import re
import unittest
from pathlib import Path
from unittest import mock

import yaml

import topology
from promises import drain_seconds, seconds

COMPOSE = yaml.safe_load(Path("docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
GATEWAYS = [SERVICES["gateway-1"], SERVICES["gateway-2"]]
# It publishes and listens nowhere, so nobody could ask it.
WITHOUT_HEALTH = {"load"}


def mounts(service):
    """Where files of the repository are in a container."""
    pairs = [volume.split(":")[:2] for volume in service.get("volumes", [])]
    return {inside: outside.removeprefix("./") for outside, inside in pairs if outside.startswith("./")}


def started(name):
    """Command and environment of what up-local starts."""
    ports = {port: 20000 + number for number, port in enumerate(topology.PORTS)}
    programs = dict.fromkeys(("redcast", "redcast-producer", "redis-server", "haproxy", "prometheus"), "program")
    with mock.patch.object(topology, "prometheus_config", lambda *_: "copy"):
        for service, command, environment, _ in topology.services(ports, Path("folder"), programs):
            if service == name:
                return command, environment
    raise AssertionError(f"up-local starts no {name}")


def of_each_service(test):
    """Runs a test for every service, and names the one that fails."""
    @functools.wraps(test)
    def run(self):
        for name, service in SERVICES.items():
            with self.subTest(service=name):
                test(self, name, service)
    return run


class EveryService(unittest.TestCase):
    @of_each_service
    def test_has_an_image_of_one_version(self, _, service):
        self.assertRegex(service["image"], r":v?\d+\.\d+\.\d+(-[a-z]+)?$")

    @of_each_service
    def test_is_confined(self, _, service):
        self.assertIs(service.get("read_only"), True)
        self.assertEqual(service.get("cap_drop"), ["ALL"])
        self.assertEqual(service.get("security_opt"), ["no-new-privileges:true"])
        self.assertFalse({"privileged", "cap_add", "network_mode", "pid", "devices"} & service.keys())

    @of_each_service
    def test_is_reached_from_this_machine_alone(self, _, service):
        for port in service.get("ports", []):
            self.assertRegex(port, r"^127\.0\.0\.1:\d+:\d+$")

    @of_each_service
    def test_mounts_what_is_there_and_never_writes_it(self, _, service):
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                self.assertTrue(volume.endswith(":ro"), volume)
                source = Path(volume.split(":")[0])
                self.assertTrue(source.exists(), f"{source} is not there")
                # A link would be followed in the container, where it leads nowhere.
                self.assertFalse(source.is_symlink(), f"{source} is a link")
            else:
                self.assertIn(volume.split(":")[0], COMPOSE["volumes"])

    @of_each_service
    def test_tells_its_health(self, name, service):
        if name in WITHOUT_HEALTH:
            self.assertEqual(service["healthcheck"], {"disable": True})
            self.assertNotIn("ports", service)
        else:
            self.assertIn("test", service["healthcheck"])

    @of_each_service
    def test_waits_for_health_and_not_for_a_start(self, _, service):
        for other, how in service.get("depends_on", {}).items():
            self.assertEqual(how, {"condition": "service_healthy"})
            self.assertNotIn(other, WITHOUT_HEALTH)

    @of_each_service
    def test_has_bounds(self, _, service):
        limits = service["deploy"]["resources"]["limits"]
        self.assertEqual(limits.keys(), {"cpus", "memory", "pids"})
        self.assertIn("stop_grace_period", service)


class Gateways(unittest.TestCase):
    def test_are_alike(self):
        self.assertEqual(*GATEWAYS)

    def test_have_time_to_give_their_clients_back(self):
        for gateway in GATEWAYS:
            self.assertGreater(seconds(gateway["stop_grace_period"]), drain_seconds())

    def test_take_as_long_as_is_told(self):
        page = Path("docs/DEPLOYMENT.md").read_text()
        grace = seconds(GATEWAYS[0]["stop_grace_period"])
        self.assertIn(f"gives a gateway {grace} s. It takes at most {drain_seconds()}:", page)

    def test_have_descriptors_for_clients(self):
        for gateway in GATEWAYS:
            self.assertGreaterEqual(gateway["ulimits"]["nofile"]["soft"], 65536)

    def test_are_asked_for_readiness(self):
        for gateway in GATEWAYS:
            self.assertIn("--ready", gateway["healthcheck"]["test"])

    def test_trust_the_load_balancer_alone(self):
        address = SERVICES["haproxy"]["networks"]["front"]["ipv4_address"]
        subnet = COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"]
        self.assertIn(ipaddress.ip_address(address), ipaddress.ip_network(subnet))
        for gateway in GATEWAYS:
            self.assertEqual(gateway["environment"]["REDCAST_HTTP__TRUSTED_PROXIES"], f"{address}/32")
        self.assertEqual(SERVICES["producer"]["environment"]["REDCAST_PRODUCER_TRUSTED_PROXY"], f"{address}/32")

    def test_nobody_else_gets_the_address_that_is_trusted(self):
        config, = COMPOSE["networks"]["front"]["ipam"]["config"]
        given = ipaddress.ip_network(config["ip_range"])
        self.assertTrue(given.subnet_of(ipaddress.ip_network(config["subnet"])))
        self.assertNotIn(ipaddress.ip_address(SERVICES["haproxy"]["networks"]["front"]["ipv4_address"]), given)

    def test_keep_redis_where_nobody_else_is(self):
        self.assertIs(COMPOSE["networks"]["back"]["internal"], True)
        self.assertEqual(SERVICES["redis"]["networks"], ["back"])
        self.assertNotIn("ports", SERVICES["redis"])


class UpLocal(unittest.TestCase):
    """It is compose without containers: the same files, with other addresses."""

    def test_configures_gateways_alike(self):
        inside = Path(GATEWAYS[0]["environment"]["REDCAST_CONFIG"])
        outside = Path(mounts(GATEWAYS[0])[str(inside.parent)]) / inside.name
        for name in ("gateway-1", "gateway-2"):
            _, environment = started(name)
            self.assertEqual(Path(environment["REDCAST_CONFIG"]), outside)
            self.assertLessEqual(GATEWAYS[0]["environment"].keys(), environment.keys())

    def test_configures_the_producer_alike(self):
        command, environment = started("producer")
        self.assertEqual(command[1:], SERVICES["producer"]["command"])
        there = {key for key in SERVICES["producer"]["environment"] if key.startswith("REDCAST_PRODUCER_")}
        self.assertLessEqual(there, environment.keys())

    def test_configures_haproxy_alike(self):
        command, environment = started("haproxy")
        self.assertIn(mounts(SERVICES["haproxy"])["/usr/local/etc/haproxy/haproxy.cfg"], command)
        self.assertEqual(environment.keys(), SERVICES["haproxy"]["environment"].keys())
        text = Path("deploy/haproxy/haproxy.cfg").read_text()
        self.assertEqual(set(re.findall(r'"\$\{(\w+)\}"', text)), environment.keys())

    def test_configures_redis_alike(self):
        command, _ = started("redis")
        self.assertIn(mounts(SERVICES["redis"])["/etc/redis/redis.conf"], command)

    def test_asks_what_prometheus_asks(self):
        source = mounts(SERVICES["prometheus"])["/etc/prometheus/prometheus.yml"]
        config = yaml.safe_load(Path(source).read_text())
        jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
        self.assertEqual(sorted(sum(jobs.values(), [])), sorted(topology.TARGETS))
        self.assertEqual(jobs["redcast"], ["gateway-1:9464", "gateway-2:9464"])
        hosts = {target.split(":")[0] for target in topology.TARGETS} - {"localhost"}
        self.assertLessEqual(hosts, SERVICES.keys())


class Grafana(unittest.TestCase):
    FOLDER = Path("deploy/grafana/provisioning")

    def test_has_prometheus_under_its_name_in_compose(self):
        source, = yaml.safe_load((self.FOLDER / "datasources/prometheus.yml").read_text())["datasources"]
        host, port = source["url"].removeprefix("http://").split(":")
        self.assertEqual(source["type"], "prometheus")
        self.assertTrue(any(mapped.endswith(f":{port}") for mapped in SERVICES[host]["ports"]))

    def test_finds_the_dashboards_where_compose_puts_them(self):
        provider, = yaml.safe_load((self.FOLDER / "dashboards/redcast.yml").read_text())["providers"]
        self.assertIn(provider["options"]["path"], mounts(SERVICES["grafana"]))
        folder = Path(mounts(SERVICES["grafana"])[provider["options"]["path"]])
        self.assertTrue(list(folder.glob("*.json")), f"no dashboard in {folder}")

    def test_links_of_deploy_lead_to_what_compose_mounts(self):
        dashboards = mounts(SERVICES["grafana"])["/etc/grafana/dashboards"]
        alerts = mounts(SERVICES["prometheus"])["/etc/prometheus/alerts.yml"]
        self.assertEqual(Path("deploy/grafana/dashboards").resolve(), Path(dashboards).resolve())
        self.assertEqual(Path("deploy/prometheus/alerts.yml").resolve(), Path(alerts).resolve())


if __name__ == "__main__":
    unittest.main()
