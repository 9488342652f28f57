"""A single writer: it acknowledges a write once it is in its state, and writes nothing when sealed.

``python writer_service.py --listen 127.0.0.11:8080 --state DIR --name edge-a``: ``POST /write/ID``
appends to the file ``writes``, after ``?seconds=``; ``GET /`` tells how many there are.
``POST /seal`` and ``POST /promote`` are what its hooks ``fence`` and ``promote`` call; they answer
when it is done. ``GET /promotions`` tells the seconds that each promotion took.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

from aiohttp import web


class Writer:
    """The service on one host."""

    def __init__(self, name: str, state: Path, *, fragile: bool = False) -> None:
        self.name = name
        self.state = state
        self.fragile = fragile
        self.sealed = False
        self.in_flight = 0
        self.promotions: list[float] = []

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/inflight", self.tell)
        app.router.add_post("/seal", self.seal)
        app.router.add_post("/promote", self.promote)
        app.router.add_get("/promotions", self.tell_promotions)
        app.router.add_post("/write/{id}", self.write)
        app.router.add_get("/slow", self.slow)
        app.router.add_get("/", self.count)
        return app

    async def healthz(self, request: web.Request) -> web.Response:
        unwell = self.fragile and bool(self.promotions)
        return web.Response(status=503 if unwell else 200, text="ok")

    async def tell(self, request: web.Request) -> web.Response:
        return web.json_response({"in_flight": self.in_flight})

    async def seal(self, request: web.Request) -> web.Response:
        self.sealed = True
        return web.Response(text="sealed")

    async def promote(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        with (self.state / "writes").open("a") as file:
            os.fsync(file.fileno())
        self.sealed = False
        self.promotions.append(time.perf_counter() - began)
        return web.Response(text="writes")

    async def tell_promotions(self, request: web.Request) -> web.Response:
        return web.json_response(self.promotions)

    async def write(self, request: web.Request) -> web.Response:
        if self.sealed:
            return web.Response(status=503, text="sealed")
        self.in_flight += 1
        try:
            await asyncio.sleep(float(request.query.get("seconds", 0)))
            with (self.state / "writes").open("a") as file:
                file.write(f"{request.match_info['id']}\n")
        finally:
            self.in_flight -= 1
        return web.Response(text=self.name, headers={"X-Host": self.name})

    async def slow(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        try:
            await asyncio.sleep(float(request.query["seconds"]))
        finally:
            self.in_flight -= 1
        return web.Response(text=self.name, headers={"X-Host": self.name})

    async def count(self, request: web.Request) -> web.Response:
        began = time.monotonic()
        path = self.state / "writes"
        lines = path.read_text().count("\n") if path.exists() else 0
        text = f"{self.name} {lines} {time.monotonic() - began:.6f}"
        return web.Response(text=text, headers={"X-Host": self.name})


def main() -> None:
    parser = argparse.ArgumentParser(description="a single writer to move around")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--fragile", action="store_true", help="is unwell once it was promoted")
    arguments = parser.parse_args()
    address, port = arguments.listen.rsplit(":", 1)
    app = Writer(arguments.name, arguments.state, fragile=arguments.fragile).app()
    web.run_app(app, host=address, port=int(port), backlog=1024, print=None, access_log=None)


if __name__ == "__main__":
    main()
