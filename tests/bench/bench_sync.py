"""State sync between two agents over mutual TLS: 5,000 small files, first all, then 20, then none.

The bytes are those of our messages, without TLS and HTTP/2 framing; the seconds are those of one
call of a controller, capture and fsync included. The peer is ``rsync -z`` where there is one.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.bench import rsync
from tests.bench.table import Row, report
from tests.integration.sync_fleet import Fleet, running

FILES = 5000
CHANGED = 20
ROUNDS = 5

Figures = tuple[float, float]
"""Bytes and seconds."""


def rows() -> list[Row]:
    """Measure ours and, in turn, the peer on the same tree."""
    with tempfile.TemporaryDirectory(prefix="bench-sync-") as scratch:
        folder = Path(scratch)
        with running(folder) as fleet, rsync.daemon(folder, folder / "peer") as address:
            fleet.place()
            return _measured(fleet, address)


def _measured(fleet: Fleet, address: str | None) -> list[Row]:
    if address is None:
        print("rsync is missing on this machine: its column stays empty")
    live = (fleet.resource("edge-a") / "live").resolve()
    _fill(live)
    ours: dict[str, list[Figures]] = {}
    peers: dict[str, list[Figures]] = {}

    def measure(what: str) -> None:
        ours.setdefault(what, []).append(_ours(fleet))
        if address is not None:
            peers.setdefault(what, []).append(rsync.send(live, address))

    measure("first full sync")
    fleet.sync()
    for number in range(ROUNDS):
        _change(live, number)
        measure(f"{CHANGED} of {FILES} files changed")
        measure("nothing changed")
    return [row for what in ours for row in _rows(what, ours[what], peers.get(what))]


def _rows(what: str, ours: list[Figures], peer: list[Figures] | None) -> list[Row]:
    made = []
    for place, unit in enumerate(("bytes", "seconds")):
        value = median(figures[place] for figures in ours)
        other = None if peer is None else median(figures[place] for figures in peer)
        holds = None if other is None else value <= other
        made.append(Row(f"{what}, {unit}", value, unit, target=other, holds=holds, peer=other))
    return made


def _ours(fleet: Fleet) -> Figures:
    began = time.perf_counter()
    (result,) = fleet.sync().results
    seconds = time.perf_counter() - began
    assert result.ok, result.error
    return result.bytes_sent, seconds


def _fill(live: Path) -> None:
    draw = random.Random(7)
    for number in range(FILES):
        path = live / f"d{number % 50:02}" / f"file-{number}.json"
        path.parent.mkdir(exist_ok=True)
        words = [f"key{draw.randrange(1000)}={draw.random()}" for _ in range(draw.randrange(5, 80))]
        path.write_text("\n".join(words))


def _change(live: Path, seed: int) -> None:
    draw = random.Random(seed)
    for path in draw.sample(sorted(live.rglob("*.json")), CHANGED):
        content = path.read_text()
        path.write_text(content + f"\nchanged={os.urandom(4).hex()}")


if __name__ == "__main__":
    report("sync", rows())
