"""Clients and visitors, so that the programs have something to count."""

import base64
import contextlib
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
ROBOT = "Mozilla/5.0 (compatible; examplebot/1.0; +https://bot.example/)"
SITE = "https://shop.example"
SOCKETS = 4
STREAMS = 2
VIEWS_PER_SECOND = 4
TEXT, CLOSE = 0x81, 0x88


class Traffic:
    """Connections through the load balancer, commands from them, and page views."""

    def __init__(self, where):
        self.where = where
        self.ended = threading.Event()
        self.sockets = []
        self.threads = []

    def __enter__(self):
        self.stay([self._socket() for _ in range(SOCKETS)])
        self.stay([self._stream() for _ in range(STREAMS)])
        for job in (self._speak, self._visit, self._come_and_go):
            self._start(job)
        return self

    def __exit__(self, *_):
        self.ended.set()
        for connection in self.sockets:
            connection.close()
        for thread in self.threads:
            thread.join(timeout=5)

    def stay(self, connections):
        """Keeps them until the end and reads what comes, so that nobody is a slow client."""
        for connection in connections:
            self.sockets.append(connection)
            self._start(self._drain, connection)

    def _socket(self):
        key = base64.b64encode(os.urandom(16)).decode()
        return self._connect("/ws/analytics", "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n", b"101")

    def _stream(self):
        return self._connect("/sse/analytics", "Accept: text/event-stream\r\n", b"200")

    def _connect(self, path, headers, status):
        address = urllib.parse.urlsplit(self.where["public"])
        connection = socket.create_connection((address.hostname, address.port), timeout=10)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\n{headers}\r\n".encode())
        first = connection.recv(4096)
        if first[9:12] != status:
            connection.close()
            raise SystemExit(f"{path} was answered by {first[:80]!r}")
        return connection

    def _start(self, job, *arguments):
        thread = threading.Thread(target=job, args=arguments, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _drain(self, connection):
        connection.settimeout(0.5)
        while not self.ended.is_set():
            try:
                if not connection.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _speak(self):
        """A command each second from each WebSocket, one of them for a channel that is not offered."""
        while not self.ended.wait(1):
            for place, connection in enumerate(self.sockets[:SOCKETS]):
                word = {"type": "ping"} if place else {"type": "subscribe", "channel": "forbidden"}
                connection.sendall(_frame(TEXT, json.dumps(word).encode()))

    def _come_and_go(self):
        """One client after the other, who says goodbye, stays a moment longer, or just vanishes."""
        visits = 0
        while not self.ended.wait(0.7):
            visits += 1
            # Refused while Redis is away; the next one tries again.
            with contextlib.suppress(SystemExit, OSError), self._socket() as connection:
                if visits % 3:
                    connection.sendall(_frame(CLOSE, (1000).to_bytes(2, "big")))
                self.ended.wait(visits % 4)

    def _visit(self):
        views = 0
        while not self.ended.wait(1 / VIEWS_PER_SECOND):
            views += 1
            # One of ten says that it is a robot.
            agent = BROWSER if views % 10 else ROBOT
            body = json.dumps({"url": f"{SITE}/page-{views % 7}", "referrer": ""}).encode()
            headers = {"User-Agent": agent, "Origin": SITE}
            request = urllib.request.Request(f"{self.where['collector']}/collect", body, headers)
            try:
                urllib.request.urlopen(request, timeout=5).close()
            except (urllib.error.URLError, OSError):
                # What is refused is counted by the collector, and the checks look at its counters.
                time.sleep(0.2)


def _frame(first, payload):
    """A client's frame; the mask may be anything, zeros too."""
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload
