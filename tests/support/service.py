"""A small stateful HTTP service: what tests and benchmarks move from host to host.

``python -m tests.support.service --listen 127.0.0.11:8080 --state DIR --name edge-a``

``/`` says who answers and from which state, ``/body?place=7&size=900`` gives bytes that the client
knows, ``/slow?seconds=2`` takes its time, ``/stream`` sends numbered lines over a while and a last
one that says so, ``/upload`` answers with the length and the checksum of what it got, ``/ws`` is a
websocket that echoes. ``/inflight`` counts the requests that are open, websockets among them, its
own and the health check's not. SIGHUP reads the state again, SIGUSR1 closes websockets with 1001.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from tests.support.http_server import Connection, Handler, Request, Site, answer, chunk
from tests.support.payloads import body, receipt

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.support.service"]
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
"""What it takes to start it from any folder."""

UNCOUNTED = ("/healthz", "/inflight", "/metrics.json")
STREAM_LINES = 20


class Service:
    """The service on one host.

    :param name: of the host; every answer carries it as ``X-Host``.
    :param state: the folder whose ``settings`` it serves.
    :param trouble: a folder; where it has a file of the host's name, requests fare as that says:
        ``status 500``, or ``seconds 0.3``.
    """

    def __init__(self, name: str, state: Path, trouble: Path | None = None) -> None:
        self.trouble = None if trouble is None else trouble / name
        self.name = name
        self.state = state
        self.settings = ""
        self.in_flight = 0
        self.started = time.monotonic()
        self.requests: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.routes: dict[str, Handler] = {
            "/": self.root,
            "/body": self.body,
            "/slow": self.slow,
            "/stream": self.stream,
            "/upload": self.upload,
            "/ws": self.websocket,
            "/healthz": self.healthz,
            "/inflight": self.tell,
            "/metrics.json": self.metrics,
        }
        self.load()

    def load(self) -> None:
        """Read the state."""
        settings = self.state / "settings"
        self.settings = settings.read_text() if settings.exists() else ""

    def route(self, path: str) -> Handler | None:
        """Return what answers a path, as it does in trouble when there is some."""
        handler = self.routes.get(path)
        counts = handler is not None and path not in UNCOUNTED
        if handler is None or not counts or self.trouble is None or not self.trouble.exists():
            return handler
        what, much = self.trouble.read_text().split()
        if what == "status":
            return lambda _client, _request: answer(b"", self.name, f"{much} Trouble")
        return lambda client, request: self.late(handler, float(much), client, request)

    async def late(
        self, handler: Handler, seconds: float, client: Connection, request: Request
    ) -> None:
        await asyncio.sleep(seconds)
        said = handler(client, request)
        if isinstance(said, bytes):
            await client.write(said)
        elif said is not None:
            await said

    def began(self, path: str) -> Callable[[], None]:
        if path in UNCOUNTED:
            return lambda: None
        self.in_flight += 1
        began = time.monotonic()

        def ended() -> None:
            self.in_flight -= 1
            self.requests[path] += 1
            self.seconds[path] += time.monotonic() - began

        return ended

    def root(self, _client: Connection, _request: Request) -> bytes:
        return self._said(f"{self.name} {self.settings}".encode())

    def body(self, _client: Connection, request: Request) -> bytes:
        return self._said(body(int(request.asked("place")), int(request.asked("size"))))

    async def slow(self, client: Connection, request: Request) -> None:
        await asyncio.sleep(float(request.asked("seconds", "2")))
        await client.write(self._said(self.name.encode()))

    async def stream(self, client: Connection, request: Request) -> None:
        pause = float(request.asked("seconds", "2")) / STREAM_LINES
        head = f"HTTP/1.1 200 OK\r\nX-Host: {self.name}\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.write(head.encode())
        for number in range(STREAM_LINES):
            await client.write(chunk(f"{number} {self.name}\n".encode()))
            await asyncio.sleep(pause)
        await client.write(chunk(b"end\n") + chunk(b""))

    def upload(self, _client: Connection, request: Request) -> bytes:
        return self._said(receipt(request.body).encode())

    def websocket(self, client: Connection, request: Request) -> None:
        client.upgrade(request)

    def healthz(self, _client: Connection, _request: Request) -> bytes:
        return self._said(b"ok")

    def tell(self, _client: Connection, _request: Request) -> bytes:
        return self._said(json.dumps({"in_flight": self.in_flight}).encode())

    def metrics(self, _client: Connection, _request: Request) -> bytes:
        up = max(time.monotonic() - self.started, 0.001)
        rows = [
            {"route": path, "rate": count / up, "latency": self.seconds[path] / count}
            for path, count in sorted(self.requests.items())
        ]
        return self._said(json.dumps({"requests": rows, "in_flight": self.in_flight}).encode())

    def _said(self, content: bytes) -> bytes:
        return answer(content, self.name)


async def serve(service: Service, address: str, port: int, backlog: int) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    site = Site(service.route, service.began)
    loop.add_signal_handler(signal.SIGHUP, service.load)
    loop.add_signal_handler(signal.SIGUSR1, site.go_away)
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await site.serve(address, port, backlog)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="a small service to move around")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--trouble", type=Path)
    parser.add_argument("--backlog", type=int, default=1024)
    arguments = parser.parse_args()
    address, port = arguments.listen.rsplit(":", 1)
    service = Service(arguments.name, arguments.state, arguments.trouble)
    asyncio.run(serve(service, address, int(port), arguments.backlog))


if __name__ == "__main__":
    main()
