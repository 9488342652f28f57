"""Handing a single writer over under writes: for how long clients are held, and what is lost.

200 acknowledged writes/s through a pair of HAProxy, from a process of their own that never retries,
while the resource is moved 20 times. The service's own promotion is measured by the service and
told apart. The peer is the same move as it is made by hand: stop, copy, start, switch.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from foreshadow.domain.clock import parse_instant
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.operations.switch_ports import ports
from foreshadow.switchover.stage import StateSync
from tests.bench.table import Row, report
from tests.support.agents import loopback
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import Haproxy, free_port, running_haproxy, service, wait_until
from tests.support.pair import fetch
from tests.support.writers import SERVICE, WritingProcess, changes, identities

RATE = 200.0
MOVES = 20
BY_HAND = 6
HOSTS = ("edge-a", "edge-b")
TARGET_MS = 25.0
BETWEEN = 0.5


def own_promotion(fleet: Fleet, host: str) -> float:
    """Return the milliseconds that the service on a host took for its last promotion."""
    address = fleet.agents.hosts[host].address
    told = fetch(f"http://{address}:{fleet.spec.service.port}/promotions")
    return 1000 * float(json.loads(told)[-1])


def _known(sync: StateSync, here: str, there: str) -> bool:
    return sync.standing(here, there) is not None


def moves(fleet: Fleet) -> list[tuple[dict[str, Any], float]]:
    """Move the resource back and forth; return what each move told, and its own promotion."""
    sync = ports(fleet.context, fleet.spec).sync
    told = []
    for number in range(MOVES):
        here, there = HOSTS[number % 2], HOSTS[1 - number % 2]
        wait_until(partial(_known, sync, here, there), "a first state")
        time.sleep(BETWEEN)
        moved = switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
        shown = dict(moved["switchover"])
        if shown["outcome"] != "switched" or shown["error"]:
            raise SystemExit(f"move {number + 1}: {shown['outcome']}, {shown['error']}")
        told.append((shown, own_promotion(fleet, there)))
    return told


def ours() -> tuple[list[tuple[dict[str, Any], float]], WritingProcess, set[int]]:
    """Return the moves, what the clients saw, and what is in the state at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="fs-pause-") as folder,
        running_fleet(Path(folder), **changes()) as fleet,
    ):
        with WritingProcess(fleet.fronts, RATE) as writers:
            told = moves(fleet)
        primary = fleet.ledger.primary(NAME)
        text = (fleet.agents.resource(primary, NAME) / "live" / "writes").read_text()
        return told, writers, identities(text)


@contextmanager
def running(address: str, state: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service; it is well when the block begins, and has ended at its end."""
    command = [sys.executable, str(SERVICE), "--listen", address, "--state", str(state)]
    process = subprocess.Popen([*command, "--name", name])
    try:
        wait_until(lambda: fetch(f"http://{address}/healthz") == "ok", f"{name} to answer")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def by_hand() -> list[float]:
    """Return the milliseconds without a writer, for each move by stop, copy, start and switch."""
    addresses = {name: f"{loopback()}:8080" for name in HOSTS}
    pauses = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fs-by-hand-")))
        for name in HOSTS:
            (folder / name).mkdir()
        fronts, haproxies = [], []
        for _ in range(2):
            address = loopback()
            fronts.append(f"{address}:{free_port(address)}")
            entry = service(NAME, fronts[-1], HOSTS[0], addresses)
            haproxies.append(stack.enter_context(running_haproxy([entry])))
        here = stack.enter_context(ExitStack())
        here.enter_context(running(addresses[HOSTS[0]], folder / HOSTS[0], HOSTS[0]))
        stack.enter_context(WritingProcess(fronts, RATE))
        for number in range(BY_HAND):
            source, destination = HOSTS[number % 2], HOSTS[1 - number % 2]
            time.sleep(BETWEEN)
            began = time.monotonic()
            here.close()
            shutil.rmtree(folder / destination)
            subprocess.run(["cp", "-a", folder / source, folder / destination], check=True)
            here.enter_context(running(addresses[destination], folder / destination, destination))
            switch(haproxies, source, destination)
            pauses.append(1000 * (time.monotonic() - began))
    return pauses


def switch(haproxies: Sequence[Haproxy], source: str, destination: str) -> None:
    """Send all traffic to the destination, at every load balancer."""
    for haproxy in haproxies:
        haproxy.ask(f"set server {NAME}/{destination} state ready")
        haproxy.ask(f"set server {NAME}/{source} state maint")


def histogram(values: Sequence[float], width: float = 5.0) -> str:
    """Return how many values fall into each span of ``width`` milliseconds, as bars."""
    spans = Counter(int(value // width) for value in values)
    return "\n".join(
        f"{span * width:6.0f} - {(span + 1) * width:3.0f} ms  {'#' * count} {count}"
        for span, count in sorted(spans.items())
    )


def with_ways(told: tuple[dict[str, Any], float]) -> float:
    """Return the milliseconds from the order to hold until all had answered that they let go."""
    steps = {step["name"]: step for step in told[0]["steps"]}
    began, ended = steps["handover"]["started_at"], steps["deliver"]["ended_at"]
    return 1000 * (parse_instant(ended) - parse_instant(began))


def flush_ms() -> float:
    """Return the milliseconds that one small flush of this disk takes now: the pause has two."""
    took = []
    with tempfile.NamedTemporaryFile(prefix="fs-pause-") as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
    return median(took)


def rows() -> list[Row]:
    """Measure our moves and those by hand."""
    told, writers, there = ours()
    pauses = [float(shown["pause_ms"]) for shown, _ in told]
    own = [promotion for _, promotion in told]
    net = [pause - promotion for pause, promotion in zip(pauses, own, strict=True)]
    peer = by_hand()
    print("pause, less the service's own promotion:", histogram(net), sep="\n")
    lost = len(writers.acknowledged - there)
    middle = median(net)
    return [
        Row("switchovers", len(told), "count"),
        Row("acknowledged writes", len(writers.acknowledged), "count"),
        Row("acknowledged writes/s", len(writers.acknowledged) / writers.seconds, "1/s",
            target=RATE, holds=len(writers.acknowledged) / writers.seconds >= 0.95 * RATE),
        Row("acknowledged writes that were lost", lost, "count", target=0.0, holds=lost == 0),
        Row("writes refused or failed", len(writers.refused), "count", target=0.0,
            holds=not writers.refused),
        Row("pause without the service's promotion, median", middle, "ms", target=TARGET_MS,
            holds=middle <= TARGET_MS),
        Row("pause, median", median(pauses), "ms", peer=median(peer)),
        Row("pause with the ways to the load balancers, median", median(map(with_ways, told)),
            "ms"),
        Row("pause, shortest", min(pauses), "ms", peer=min(peer)),
        Row("pause, longest", max(pauses), "ms", peer=max(peer)),
        Row("the service's own promotion, median", median(own), "ms"),
        Row("slowest acknowledged write", 1000 * writers.slowest, "ms"),
        Row("one flush of this disk, median", flush_ms(), "ms"),
        Row("processes that want a core meanwhile", os.getloadavg()[0], "count"),
    ]  # fmt: skip


if __name__ == "__main__":
    report("pause", rows())
