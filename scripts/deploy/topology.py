"""What stands in the topology of docker-compose.yml, and how it is started on loopback."""

import os
import random
import re
import shutil
import socket
import urllib.request
from pathlib import Path

from processes import Trouble

HOST = "127.0.0.1"
# 8080 and 9090 are those of compose. Redis is not where a Redis usually is.
PORTS = {
    "public": 8080, "haproxy-health": 8404,
    "gateway-1": 8081, "gateway-1-admin": 9461,
    "gateway-2": 8082, "gateway-2-admin": 9462,
    "producer": 8090, "producer-admin": 9465,
    "prometheus": 9090, "redis": 6390,
}
# As in prometheus.yml, and which of PORTS stands there in a copy.
TARGETS = {
    "gateway-1:9464": "gateway-1-admin", "gateway-2:9464": "gateway-2-admin",
    "producer:9465": "producer-admin", "localhost:9090": "prometheus",
}


def address(ports, name):
    return f"{HOST}:{ports[name]}"


def is_free(port):
    with socket.socket() as probe:
        # As the servers do: what is only waiting to be forgotten is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose_ports(free):
    """The usual ports, or some below those that the kernel gives to outgoing connections."""
    if free:
        candidates = random.sample(range(20000, 32000), 2000)
        unused = (port for port in candidates if is_free(port))
        return {name: next(unused) for name in PORTS}
    taken = [f"{HOST}:{port} ({name})" for name, port in PORTS.items() if not is_free(port)]
    if taken:
        raise Trouble(f"taken: {', '.join(taken)}; UP_LOCAL_PORTS=free chooses others")
    return PORTS


def redis_answers(ports):
    with socket.create_connection((HOST, ports["redis"]), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"


def http_ok(ports, name, path):
    # Without a proxy that the environment may name: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address(ports, name)}{path}", timeout=1) as response:
        return response.status == 200


def prometheus_config(ports, folder, scrape):
    """A copy of prometheus.yml with the addresses of this machine; answers its path."""
    source = Path("deploy/prometheus")
    text = (source / "prometheus.yml").read_text()
    for target, name in TARGETS.items():
        if f'"{target}"' not in text:
            raise Trouble(f"prometheus.yml has no target {target}")
        text = text.replace(f'"{target}"', f'"{address(ports, name)}"')
    if scrape:
        text = re.sub(r"(scrape|evaluation)_interval: \S+", rf"\1_interval: {scrape}", text)
        text = re.sub(r"scrape_timeout: \S+", f"scrape_timeout: {scrape}", text)
    for link in source.glob("alerts.yml"):
        (folder / link.name).symlink_to(link.resolve())
    copy = folder / "prometheus.yml"
    copy.write_text(text)
    return copy


def gateway(ports, name, binary):
    """Command, environment and readiness of one gateway."""
    environment = {
        "REDCAST_CONFIG": "deploy/config/analytics.toml",
        "REDCAST_REDIS__URL": f"redis://{address(ports, 'redis')}",
        "REDCAST_HTTP__LISTEN": address(ports, name),
        "REDCAST_HTTP__TRUSTED_PROXIES": f"{HOST}/32",
        "REDCAST_ADMIN__LISTEN": address(ports, f"{name}-admin"),
        "REDCAST_PAGE__COLLECTOR": "/",
        # Whoever presses Ctrl-C here does not wait for clients to move on.
        "REDCAST_SHUTDOWN__ACCEPT_FOR": "0s",
        "REDCAST_SHUTDOWN__WINDOW": "1s",
    }
    return [binary, "serve"], environment, lambda: http_ok(ports, f"{name}-admin", "/readyz")


def producer(ports, binary):
    environment = {
        "REDCAST_PRODUCER_REDIS_URL": f"redis://{address(ports, 'redis')}",
        "REDCAST_PRODUCER_LISTEN": address(ports, "producer"),
        "REDCAST_PRODUCER_ADMIN_LISTEN": address(ports, "producer-admin"),
        "REDCAST_PRODUCER_TRUSTED_PROXY": f"{HOST}/32",
        "REDCAST_PRODUCER_SITE": "*",
    }
    return [binary, "collect", "--demo"], environment, lambda: http_ok(ports, "producer-admin", "/readyz")


def haproxy(ports, program):
    environment = {"LISTEN": address(ports, "public"), "HEALTH": address(ports, "haproxy-health")}
    for variable, name in (("GATEWAY_1", "gateway-1"), ("GATEWAY_2", "gateway-2"), ("COLLECTOR", "producer")):
        environment[variable] = address(ports, name)
        environment[f"{variable}_ADMIN_PORT"] = str(ports[f"{name}-admin"])
    command = [program, "-db", "-f", "deploy/haproxy/haproxy.cfg"]
    return command, environment, lambda: http_ok(ports, "haproxy-health", "/healthz")


def services(ports, folder, programs):
    """What is started, in this order: name, command, environment, readiness."""
    redis = [
        programs["redis-server"], "deploy/redis/redis.conf", "--bind", HOST,
        "--port", str(ports["redis"]), "--dir", str(folder),
        # It is thrown away at the end.
        "--appendonly", "no",
    ]
    config = prometheus_config(ports, folder, os.environ.get("UP_LOCAL_SCRAPE"))
    prometheus = [
        programs["prometheus"], f"--config.file={config}", f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address={address(ports, 'prometheus')}", "--log.level=warn",
    ]
    return [
        ("redis", redis, {}, lambda: redis_answers(ports)),
        ("gateway-1", *gateway(ports, "gateway-1", programs["redcast"])),
        ("gateway-2", *gateway(ports, "gateway-2", programs["redcast"])),
        ("producer", *producer(ports, programs["redcast-producer"])),
        ("haproxy", *haproxy(ports, programs["haproxy"])),
        ("prometheus", prometheus, {}, lambda: http_ok(ports, "prometheus", "/-/ready")),
    ]


def find_programs():
    folder = Path(os.environ.get("BIN", "target/release"))
    found = {name: str(folder / name) for name in ("redcast", "redcast-producer")}
    missing = [path for path in found.values() if not os.access(path, os.X_OK)]
    if missing:
        raise Trouble(
            f"missing: {', '.join(missing)}; "
            "cargo build --release --locked -p redcast -p redcast-producer makes them, BIN names another folder"
        )
    # Debian keeps HAProxy where a user's PATH does not look.
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for name in ("redis-server", "haproxy", "prometheus"):
        found[name] = shutil.which(name, path=path)
        if found[name] is None:
            raise Trouble(f"{name} is missing; scripts/install-deploy-tools brings it")
    return found


def places(ports, processes):
    """Where everything is, for a program."""
    names = ("gateway-1", "gateway-2")
    return {
        "public": f"http://{address(ports, 'public')}",
        "websocket": f"ws://{address(ports, 'public')}/ws/analytics",
        "gateways": [f"http://{address(ports, name)}" for name in names],
        "admin": [f"http://{address(ports, f'{name}-admin')}" for name in names],
        "collector": f"http://{address(ports, 'producer')}",
        "collector_admin": f"http://{address(ports, 'producer-admin')}",
        "prometheus": f"http://{address(ports, 'prometheus')}",
        "redis": f"redis://{address(ports, 'redis')}",
        "pids": {name: process.pid for name, process in processes.running.items()},
        "logs": str(processes.folder),
    }
