"""What the image and the units of systemd promise."""

import json
import re
import tomllib
import unittest
from pathlib import Path

import yaml

from promises import drain_seconds, seconds

CARGO = tomllib.loads(Path("Cargo.toml").read_text())["workspace"]["package"]
# Instructions of the Dockerfile, one a line, without comments.
LINES = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*\n", "", Path("deploy/Dockerfile").read_text())).splitlines()
IGNORE = Path(".dockerignore").read_text().splitlines()


def instructions(name):
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{name} ")]


def copied():
    """What of the repository gets into the image's build."""
    return {source for line in instructions("COPY") if "--from" not in line for source in map(clean, line.split()[:-1])}


def clean(source):
    return source.removeprefix("./")


class Image(unittest.TestCase):
    def test_is_made_of_images_with_a_tag(self):
        bases = [line.split()[0] for line in instructions("FROM")]
        self.assertEqual(len(bases), 2)
        for base in bases:
            self.assertRegex(base, r":[a-z0-9.-]+$")
            self.assertFalse(base.endswith(":latest"))
        self.assertTrue(bases[1].endswith("/distroless/cc-debian12:nonroot"), bases[1])

    def test_is_built_by_the_oldest_compiler_that_is_promised(self):
        self.assertIn(f"rust:{CARGO['rust-version']}-", instructions("FROM")[0])

    def test_holds_both_programs_as_they_are_locked(self):
        build, = (line for line in instructions("RUN") if "cargo build" in line)
        for part in ("--locked", "--release", "-p redcast ", "-p redcast-producer", "type=cache"):
            self.assertIn(part, build)

    def test_runs_as_nobody_and_without_a_shell(self):
        self.assertEqual(instructions("USER"), ["65532:65532"])
        self.assertEqual(json.loads(instructions("ENTRYPOINT")[0]), ["/usr/local/bin/redcast"])
        self.assertEqual(json.loads(instructions("CMD")[-1]), ["serve"])
        self.assertEqual(instructions("STOPSIGNAL"), ["SIGTERM"])

    def test_tells_its_health_by_its_own_program(self):
        self.assertEqual(len(instructions("HEALTHCHECK")), 1)
        command = instructions("HEALTHCHECK")[0].split("CMD", 1)[1]
        self.assertEqual(json.loads(command), ["/usr/local/bin/redcast", "healthcheck"])

    def test_has_the_version_of_the_workspace(self):
        label, = instructions("LABEL")
        self.assertIn(f'org.opencontainers.image.version="{CARGO["version"]}"', label)
        services = yaml.safe_load(Path("docker-compose.yml").read_text())["services"]
        ours = {service["image"] for service in services.values() if "build" in service}
        self.assertEqual(ours, {f"redcast:{CARGO['version']}"})

    def test_gets_what_it_copies_and_nothing_by_default(self):
        self.assertIn("*", IGNORE)
        for source in copied():
            self.assertTrue(Path(source).exists(), f"{source} is not there")
            self.assertIn(f"!{source}", IGNORE)

    def test_gets_what_the_programs_have_built_in(self):
        for file in Path("crates").glob("*/src/**/*.rs"):
            if file.stem.endswith("tests"):
                continue
            for path in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
                inside = (file.parent / path).resolve().relative_to(Path.cwd())
                covered = any(inside.is_relative_to(source) for source in copied())
                self.assertTrue(covered, f"{file} has {inside} built in, which is not copied")


class Units(unittest.TestCase):
    def values(self, unit, key):
        text = Path(f"deploy/systemd/{unit}").read_text()
        return re.findall(rf"(?m)^{key}=(.*)$", text)

    def test_the_gateway_has_time_to_give_its_clients_back(self):
        wait, = self.values("redcast.service", "TimeoutStopSec")
        self.assertGreater(seconds(wait), drain_seconds())

    def test_a_wrong_configuration_is_not_tried_again(self):
        for unit in ("redcast.service", "redcast-producer.service"):
            self.assertEqual(self.values(unit, "RestartPreventExitStatus"), ["2 78"])

    def test_what_recovers_late_is_tried_on(self):
        for unit in ("redcast.service", "redcast-producer.service"):
            self.assertEqual(self.values(unit, "Restart"), ["on-failure"])
            self.assertEqual(self.values(unit, "StartLimitIntervalSec"), ["0"])
            self.assertEqual(self.values(unit, "StartLimitBurst"), [])

    def test_start_the_programs_as_they_are_installed(self):
        for unit, command in {"redcast": "redcast serve", "redcast-producer": "redcast-producer collect"}.items():
            self.assertEqual(self.values(f"{unit}.service", "ExecStart"), [f"/usr/local/bin/{command}"])

    def test_clients_have_descriptors(self):
        for unit in ("redcast.service", "redcast-producer.service"):
            limit, = self.values(unit, "LimitNOFILE")
            self.assertGreaterEqual(int(limit), 65536)


if __name__ == "__main__":
    unittest.main()
