"""The checks of the stage `deploy`: who judges which files, and how it is asked."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import targets

TOOLS = Path(".tools/deploy")
PROFILES = [[], ["observability"], ["load"], ["observability", "load"]]
# Of 10 for a service that is confined in nothing.
EXPOSURE = "15"
YAML_RULES = "{extends: default, rules: {document-start: disable, line-length: {max: 200}, braces: {max-spaces-inside: 1}}}"


class Missing(Exception):
    """A tool that is not there."""


@dataclass
class Check:
    """One tool, the files that it judges, and what it finds: lines, none if all is well."""

    tool: str
    what: str
    files: list[str]
    findings: Callable[[], list[str]]


def program(name):
    """Where a tool is: among those of this repository, or where the system has it."""
    own = TOOLS / "bin" / name
    if os.access(own, os.X_OK):
        return str(own)
    # Debian keeps servers where a user's PATH does not look.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"there is no {name}; scripts/install-deploy-tools brings it")
    return found


def asked(command, environment=None):
    """What a tool says when it is not content."""
    said = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        env={**os.environ, **(environment or {})},
    )
    return said.stdout.splitlines() + [f"exit code {said.returncode}: {' '.join(command)}"] if said.returncode else []


def dockerfile():
    return asked([program("hadolint"), "--failure-threshold", "style", "deploy/Dockerfile"])


def compose():
    tool = program("docker-compose")
    findings = []
    for profiles in PROFILES:
        flags = [part for profile in profiles for part in ("--profile", profile)]
        findings += asked([tool, *flags, "config", "-q"])
    return findings


def own_tests():
    python = TOOLS / "venv/bin/python"
    if not python.exists():
        raise Missing("there is no Python with PyYAML; scripts/install-deploy-tools brings it")
    return [line for name in ("compose_test", "image_test", "run_test") for line in asked([str(python), "-B", f"scripts/deploy/{name}.py"])]


def haproxy():
    environment = {"LISTEN": "127.0.0.1:8080", "HEALTH": "127.0.0.1:8404"}
    for number, name in enumerate(("GATEWAY_1", "GATEWAY_2", "COLLECTOR")):
        environment |= {name: f"127.0.0.1:{8081 + number}", f"{name}_ADMIN_PORT": str(9461 + number)}
    # A warning is a finding, too.
    return asked([program("haproxy"), "-c", "-dW", "-f", "deploy/haproxy/haproxy.cfg"], environment)


def prometheus():
    return asked([program("promtool"), "check", "config", "--lint-fatal", "deploy/prometheus/prometheus.yml"])


def redis():
    """Redis has no way to look at a file alone, so it starts with it, on a socket of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            program("redis-server"), "deploy/redis/redis.conf", "--dir", folder, "--port", "0",
            "--unixsocket", f"{folder}/socket",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            answered = answers_ping(server, f"{folder}/socket")
            server.terminate()
            said = server.communicate()[0]
    return [] if answered else said.splitlines() + ["redis-server does not start with it"]


def answers_ping(server, path):
    while server.poll() is None:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            time.sleep(0.02)
    return False


def systemd():
    """The programs need not be installed here, so that they are there is not asked."""
    tool = program("systemd-analyze")
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for unit in sorted(Path("deploy/systemd").glob("*.service")):
            copy = Path(folder) / unit.name
            copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text()))
            # A value that can't be read is told and ignored, and the exit code is 0.
            said = subprocess.run([tool, "verify", str(copy)], capture_output=True, text=True, check=False)
            findings += [line for line in said.stderr.splitlines() if unit.name in line]
            if said.returncode:
                findings.append(f"systemd-analyze verify ends with {said.returncode} at {unit.name}")
            findings += asked([tool, "security", "--offline=true", f"--threshold={EXPOSURE}", str(copy)])
    return findings


def configurations():
    binary = os.environ.get("GATEWAY_BIN", "target/debug/redcast")
    if not os.access(binary, os.X_OK):
        raise Missing(f"there is no {binary}; GATEWAY_BIN names another one")
    return [line for path in sorted(Path("deploy/config").glob("*.toml"))
            for line in asked([binary, "check-config", "--config", str(path)])]


def yamllint():
    return asked([program("yamllint"), "--strict", "-d", YAML_RULES, "docker-compose.yml", "deploy"])


def shellcheck():
    scripts = [path for path in sorted(Path("scripts").rglob("*")) if path.is_file() and is_shell(path)]
    return asked([program("shellcheck"), "--external-sources", "--severity", "warning", *map(str, scripts), ".ci/run"])


def is_shell(path):
    with path.open("rb") as file:
        return file.readline().startswith(b"#!/usr/bin/env bash")


def makefile():
    return list(targets.faults())


def links():
    """A link of the repository that leads nowhere is one that nobody has mounted yet."""
    return [f"{path} leads nowhere" for path in Path("deploy").rglob("*") if path.is_symlink() and not path.exists()]


CHECKS = [
    Check("hadolint", "the image", ["deploy/Dockerfile"], dockerfile),
    Check("docker-compose config", "each set of profiles", ["docker-compose.yml"], compose),
    Check("compose_test.py, image_test.py, run_test.py", "what compose, image, units, up-local and this run promise",
          ["docker-compose.yml", "deploy/Dockerfile", ".dockerignore", "deploy/systemd/*.service",
           "deploy/grafana/provisioning/*/*.yml"], own_tests),
    Check("haproxy -c", "the load balancer", ["deploy/haproxy/haproxy.cfg"], haproxy),
    Check("promtool check config", "Prometheus", ["deploy/prometheus/prometheus.yml"], prometheus),
    Check("redis-server", "starts with its file", ["deploy/redis/redis.conf"], redis),
    Check("systemd-analyze", "the units, and how confined they are", ["deploy/systemd/*.service"], systemd),
    Check("redcast check-config", "the gateway's examples", ["deploy/config/*.toml"], configurations),
    Check("yamllint", "all YAML here", ["docker-compose.yml", "deploy/grafana/provisioning/*/*.yml"], yamllint),
    Check("shellcheck", "the shell of scripts/", [], shellcheck),
    Check("Makefile", "has each target that is named", [], makefile),
    Check("links", "lead somewhere", ["deploy/prometheus/alerts.yml", "deploy/grafana/dashboards"], links),
]
