"""A small stateful HTTP service: what tests and benchmarks move from host to host.

``python service.py --listen 127.0.0.11:8080 --state DIR --name edge-a``

``/`` says who answers and from which state, ``/slow?seconds=2`` takes its time, ``/stream`` sends
numbered lines over a while and a last one that says so. ``/inflight`` counts the requests that are
open, its own and the health check's not among them. SIGHUP reads the state again.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

UNCOUNTED = ("/healthz", "/inflight", "/metrics.json")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """The service on one host.

    :param name: of the host; every answer carries it as ``X-Host``.
    :param state: the folder whose ``settings`` it serves.
    """

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self.state = state
        self.settings = ""
        self.in_flight = 0
        self.started = time.monotonic()
        self.requests: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.load()

    def load(self) -> None:
        """Read the state."""
        settings = self.state / "settings"
        self.settings = settings.read_text() if settings.exists() else ""

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self.count])
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/inflight", self.tell)
        app.router.add_get("/metrics.json", self.metrics)
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/stream", self.stream)
        app.router.add_get("/", self.answer)
        app.cleanup_ctx.append(self.reload_on_hangup)
        return app

    async def reload_on_hangup(self, _app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.load)
        yield
        loop.remove_signal_handler(signal.SIGHUP)

    @web.middleware
    async def count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in UNCOUNTED:
            return await handler(request)
        self.in_flight += 1
        began = time.monotonic()
        try:
            return await handler(request)
        finally:
            self.in_flight -= 1
            self.requests[request.path] += 1
            self.seconds[request.path] += time.monotonic() - began

    async def answer(self, request: web.Request) -> web.Response:
        return self._said(f"{self.name} {self.settings}")

    async def slow(self, request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query.get("seconds", "2")))
        return self._said(self.name)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        seconds, lines = float(request.query.get("seconds", "2")), 20
        response = web.StreamResponse(headers={"X-Host": self.name})
        await response.prepare(request)
        for number in range(lines):
            await response.write(f"{number} {self.name}\n".encode())
            await asyncio.sleep(seconds / lines)
        await response.write(b"end\n")
        await response.write_eof()
        return response

    async def healthz(self, request: web.Request) -> web.Response:
        return self._said("ok")

    async def tell(self, request: web.Request) -> web.Response:
        return web.json_response({"in_flight": self.in_flight})

    async def metrics(self, request: web.Request) -> web.Response:
        up = max(time.monotonic() - self.started, 0.001)
        rows = [
            {"route": path, "rate": count / up, "latency": self.seconds[path] / count}
            for path, count in sorted(self.requests.items())
        ]
        return web.json_response({"requests": rows, "in_flight": self.in_flight})

    def _said(self, text: str) -> web.Response:
        return web.Response(text=text, headers={"X-Host": self.name})


def main() -> None:
    parser = argparse.ArgumentParser(description="a small service to move around")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    address, port = arguments.listen.rsplit(":", 1)
    app = Service(arguments.name, arguments.state).app()
    web.run_app(app, host=address, port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
