"""The pod of `helm test`: its containers do what they say, run here against a gateway."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import chart
from test_configuration import GATEWAY

PATIENCE = 30
NODE = shutil.which("node")


def until(done, what):
    """Waits for something that happens in another process, and tells what did not."""
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {PATIENCE} s")
        time.sleep(0.02)


class Shape(unittest.TestCase):
    @chart.each_release
    def test_it_is_a_hook_that_ends(self, release):
        pods = release.all("Pod")
        self.assertEqual(len(pods), int(release.values["tests"]["enabled"]))
        for pod in pods:
            self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
            self.assertEqual(pod["spec"]["restartPolicy"], "Never")
            self.assertEqual(pod["spec"]["activeDeadlineSeconds"], release.values["tests"]["timeoutSeconds"])
            websocket = ["websocket"] if release.values["tests"]["websocket"]["enabled"] else []
            names = [one["name"] for one in pod["spec"]["containers"]]
            # Containers start in this order, publish when the hook before it is through.
            self.assertEqual(names, [*websocket, "subscribe", "publish"])
            hook = pod["spec"]["containers"][-2]["lifecycle"]["postStart"]
            self.assertEqual(hook, {"sleep": {"seconds": release.values["tests"]["settleSeconds"]}})
            for container in pod["spec"]["containers"][-2:]:
                for key in ("image", "env", "volumeMounts"):
                    self.assertEqual(container[key], release.container[key], key)
            # What its mounts and its environment need, and where such pods may be.
            for key in ("volumes", "nodeSelector", "tolerations"):
                self.assertEqual(pod["spec"].get(key), release.pod["spec"].get(key), key)

    def test_another_releases_event_is_not_taken_for_this_ones(self):
        # `redcast subscribe` ends with whatever comes first.
        def channel(**options):
            containers = chart.made_of({}, **options).one("Pod")["spec"]["containers"]
            said = {one["name"]: one["args"] for one in containers}
            self.assertEqual(said["publish"][1], said["subscribe"][-1])
            return said["publish"][1]

        channels = {channel(), channel(release="other"), channel(namespace="elsewhere")}
        self.assertEqual(len(channels), 3)
        for one in channels:
            self.assertRegex(one, r"^analytics:helm-test:[A-Za-z0-9_.:@-]+$")

    def test_the_client_says_what_is_wrong_before_the_pod_is_killed(self):
        release = chart.made_of({"tests": {"websocket": {"enabled": True}, "timeoutSeconds": 90}})
        client = release.one("Pod")["spec"]["containers"][0]
        self.assertIn({"name": "TIMEOUT_SECONDS", "value": "45"}, client["env"])

    def test_a_registry_for_all_images_replaces_the_host(self):
        for image, wanted in (
            ("node:22-alpine", "a.example/node:22-alpine"),
            ("library/node:22", "a.example/library/node:22"),
            ("registry.example/library/node", "a.example/library/node"),
            ("localhost:5000/node:22", "a.example/node:22"),
        ):
            with self.subTest(image):
                values = {"tests": {"websocket": {"enabled": True, "image": image}}}
                values["global"] = {"imageRegistry": "a.example"}
                pod = chart.made_of(values).one("Pod")["spec"]
                self.assertEqual(pod["containers"][0]["image"], wanted)

    @chart.each_release
    def test_the_client_connects_to_the_public_service(self, release):
        service = release.services["http"]
        address = f"ws://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/"
        for pod in release.all("Pod"):
            for container in pod["spec"]["containers"][:-2]:
                variables = {one["name"]: one["value"] for one in container["env"]}
                self.assertTrue(variables["GATEWAY_URL"].startswith(address), variables["GATEWAY_URL"])


@unittest.skipUnless(
    (GATEWAY.exists() and shutil.which("redis-server")) or os.environ.get("CI"), "no gateway or no Redis"
)
class Commands(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.socket = self.folder / "redis.sock"
        self.start(["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", ""], "redis")
        until(lambda: self.redis("PING") == "PONG", "Redis's answer")
        tests = {"websocket": {"enabled": True}, "timeoutSeconds": 2 * PATIENCE}
        self.release = chart.made_of(
            {"redis": {"url": f"unix://{self.socket}", "prefix": "live:"}, "tests": tests}
        )
        self.containers = {one["name"]: one for one in self.release.one("Pod")["spec"]["containers"]}
        # The files of the pod, in a folder.
        (self.folder / "redcast.toml").write_text(self.release.toml)
        for name, text in self.release.one("Secret")["stringData"].items():
            (self.folder / name).write_text(text)

    def start(self, command, name, **variables):
        log = open(self.folder / f"{name}.log", "wb")
        self.addCleanup(log.close)
        environment = {"PATH": os.environ["PATH"], **variables}
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=self.folder
        )

        def stop():
            process.kill()
            process.wait()

        self.addCleanup(stop)
        return process

    def redis(self, *command):
        ran = subprocess.run(["redis-cli", "-s", self.socket, *command], capture_output=True, text=True)
        return ran.stdout.strip()

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def environment(self, container):
        moved = {"/etc/redcast/": f"{self.folder}/", "/etc/redcast-secrets/": f"{self.folder}/"}
        result = {}
        for entry in container["env"]:
            value = entry["value"]
            for theirs, ours in moved.items():
                value = value.replace(theirs, ours)
            result[entry["name"]] = value
        return result

    def container(self, name, **variables):
        """Starts what the pod's container of this name would run."""
        one = self.containers[name]
        # The image's entry point; the other container names its program itself. Node
        # before 22 has the WebSocket client behind a flag.
        program = [NODE, "--experimental-websocket", *one["command"][1:]] if "command" in one else [GATEWAY]
        return self.start([*program, *one["args"]], name, **(self.environment(one) | variables))

    def serve(self):
        variables = self.environment(self.release.container)
        variables |= {"REDCAST_HTTP__LISTEN": "127.0.0.1:0", "REDCAST_ADMIN__LISTEN": "127.0.0.1:0"}
        self.start([GATEWAY, *self.release.container["args"]], "gateway", **variables)
        until(lambda: '"serving"' in self.log("gateway"), "the gateway's start")
        serving = next(line for line in self.log("gateway").splitlines() if '"serving"' in line)
        return json.loads(serving)["http"]

    def test_an_event_is_published_and_received(self):
        address = self.serve()
        path = self.release.values["tests"]["websocket"]["path"]
        receivers = {
            "websocket": self.container("websocket", GATEWAY_URL=f"ws://{address}{path}"),
            "subscribe": self.container("subscribe"),
        }
        channel = "live:" + self.containers["publish"]["args"][1]
        until(
            lambda: self.redis("PUBSUB", "NUMSUB", channel).endswith("2"),
            "the subscription of gateway and command",
        )
        # Nobody ends before there is an event.
        self.assertEqual([one.poll() for one in receivers.values()], [None, None])
        publisher = self.container("publish")
        for name, process in {**receivers, "publish": publisher}.items():
            with self.subTest(name):
                self.assertEqual(process.wait(PATIENCE), 0, self.log(name))

    def test_a_client_that_hears_nothing_fails(self):
        address = self.serve()
        path = self.release.values["tests"]["websocket"]["path"]
        client = self.container("websocket", GATEWAY_URL=f"ws://{address}{path}", TIMEOUT_SECONDS="1")
        self.assertEqual(client.wait(PATIENCE), 1)
        self.assertIn("nothing came", self.log("websocket"))

    def test_a_client_that_is_refused_fails(self):
        address = self.serve()
        client = self.container("websocket", GATEWAY_URL=f"ws://{address}/no-such-endpoint")
        self.assertEqual(client.wait(PATIENCE), 1)
        self.assertIn("no connection", self.log("websocket"))
