"""The demo's service: small, stateful, and slow when its host runs short.

It has as many slots as the capacity of its host pays for, and a request holds one for its service
time. When all are taken, requests queue: latency rises as it does in life, by waiting. It counts
visits to its items and keeps the counts in its state folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter, deque
from pathlib import Path

from aiohttp import web

SERVICE_SECONDS = 0.016
_WINDOW_SECONDS = 1.0
_SAVE_SECONDS = 1.0


class Shop:
    """Answers visits to items, and remembers how many there were."""

    def __init__(self, state: Path, slots: int) -> None:
        self._file = state / "visits.json"
        self._slots = asyncio.Semaphore(slots)
        self._finished: deque[tuple[float, float]] = deque()
        self._in_flight = 0
        self._visits: Counter[str] = Counter()
        self.load()

    def load(self) -> None:
        """Take over the counts in the state folder: at start, and when told to reload."""
        if self._file.exists():
            self._visits = Counter(json.loads(self._file.read_text(encoding="utf-8")))

    def save(self) -> None:
        """Write the counts so that a reader never sees half of them."""
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(self._visits, sort_keys=True), encoding="utf-8")
        part.replace(self._file)

    async def visit(self, request: web.Request) -> web.Response:
        """Serve one item: wait for a slot, hold it for the service time."""
        self._in_flight += 1
        began = time.monotonic()
        try:
            async with self._slots:
                await asyncio.sleep(SERVICE_SECONDS)
            item = request.match_info["item"]
            self._visits[item] += 1
            return web.json_response(
                {"item": item, "visits": self._visits[item], "host": os.environ["FORESHADOW_HOST"]}
            )
        finally:
            self._in_flight -= 1
            self._finished.append((time.monotonic(), time.monotonic() - began))

    async def health(self, _: web.Request) -> web.Response:
        """Answer the health check."""
        return web.Response(text="ok\n")

    async def in_flight(self, _: web.Request) -> web.Response:
        """Tell how many requests are being served or wait."""
        return web.json_response({"in_flight": self._in_flight})

    async def reload(self, _: web.Request) -> web.Response:
        """Take over the state that has arrived in the folder."""
        self.load()
        return web.Response(text="reloaded\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """Tell the workload of the last second: rate per second, latencies in seconds."""
        now = time.monotonic()
        while self._finished and self._finished[0][0] < now - _WINDOW_SECONDS:
            self._finished.popleft()
        latencies = sorted(latency for _, latency in self._finished)
        count = len(latencies)
        row = {
            "route": "/items",
            "rate": count / _WINDOW_SECONDS,
            "avg": sum(latencies) / count if count else 0.0,
            "p99": latencies[int(count * 0.99)] if count else 0.0,
        }
        return web.json_response({"requests": [row]})

    async def keep_saving(self, _: web.Application) -> None:
        """Save once a second what is new; a shadow has nothing new and writes nothing."""
        saved = dict(self._visits)

        async def run() -> None:
            nonlocal saved
            while True:
                await asyncio.sleep(_SAVE_SECONDS)
                if saved != self._visits:
                    self.save()
                    saved = dict(self._visits)

        self._saving = asyncio.create_task(run())


def application(state: Path, slots: int) -> web.Application:
    """Return the service as an application."""
    shop = Shop(state, slots)
    app = web.Application()
    app.add_routes(
        [
            web.get("/items/{item}", shop.visit),
            web.get("/healthz", shop.health),
            web.get("/inflight", shop.in_flight),
            web.get("/metrics.json", shop.metrics),
            web.post("/reload", shop.reload),
        ]
    )
    app.on_startup.append(shop.keep_saving)
    return app


def main() -> None:
    """Run the service on ``--listen`` with its state in ``--data``."""
    parser = argparse.ArgumentParser(description="The service of the Foreshadow demo.")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER")
    options = parser.parse_args()
    address, _, port = options.listen.rpartition(":")
    slots = round(float(os.environ["FORESHADOW_CAPACITY_RATE"]) * SERVICE_SECONDS)
    options.data.mkdir(parents=True, exist_ok=True)
    web.run_app(
        application(options.data, max(1, slots)),
        host=address,
        port=int(port),
        access_log=None,
        print=None,
        shutdown_timeout=5.0,
    )


if __name__ == "__main__":
    main()
