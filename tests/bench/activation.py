"""How long it takes to activate a shadow: the whole call of the controller, direct probes included.

The service has no hook: what a hook does is the service's own. What a cold one takes by itself is
measured beside it, started by hand and asked until it answers.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from foreshadow.domain.protocols import InstanceDriver
from foreshadow.domain.spec import Mode, ResourceSpec, merged, parse_resource
from tests.bench.table import Row
from tests.support.agents import loopback
from tests.support.fleet import NAME, running_fleet
from tests.support.haproxy import free_port
from tests.support.service import COMMAND, ENVIRONMENT

ROUNDS = {Mode.HOT: 200, Mode.WARM: 200, Mode.COLD: 30}
MOST_MS = {Mode.HOT: 5.0, Mode.WARM: 25.0, Mode.COLD: 30.0}


def rows() -> list[Row]:
    """Measure each mode."""
    with (
        tempfile.TemporaryDirectory(prefix="fs-bench-") as folder,
        running_fleet(Path(folder)) as fleet,
    ):
        spec = parse_resource(merged(fleet.spec.plain(), {"service": {"hooks": {"reload": []}}}))
        driver = fleet.context.driver("edge-b")
        lease = fleet.ledger.acquire(NAME, "bench", 3600, lambda _: True)
        own = sorted(_timed(_start_by_hand) for _ in range(ROUNDS[Mode.COLD]))
        return [row for mode in Mode for row in _measured(driver, spec, mode, lease.token, own)]


def _measured(
    driver: InstanceDriver, spec: ResourceSpec, mode: Mode, token: int, own: list[float]
) -> list[Row]:
    driver.freeze(spec, mode, token)
    took = []
    for _ in range(ROUNDS[mode]):
        took.append(1000 * _timed(lambda: driver.activate(spec, token)))
        driver.freeze(spec, mode, token)
        time.sleep(0.01)
    alone = 1000 * _p99(own)
    most = MOST_MS[mode] + (alone if mode is Mode.COLD else 0.0)
    middle, worst = median(took), _p99(took)
    told = [
        Row("start of the service by itself, median", 1000 * median(own), "ms"),
        Row("start of the service by itself, p99", alone, "ms"),
    ]
    return [
        *(told if mode is Mode.COLD else []),
        Row(f"activation of a {mode.value} shadow, median", middle, "ms"),
        Row(f"activation of a {mode.value} shadow, p99", worst, "ms", most, worst <= most),
    ]


def _p99(figures: list[float]) -> float:
    return sorted(figures)[int(0.99 * len(figures))]


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _start_by_hand() -> None:
    """Start the service, and return when it takes connections."""
    address = loopback()
    port = free_port(address)
    process = subprocess.Popen(
        [*COMMAND, "--listen", f"{address}:{port}", "--state", "/none", "--name", "alone"],
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((address, port)) == 0:
                    return
            time.sleep(0.001)
        raise TimeoutError("the service does not start")
    finally:
        process.kill()
        process.wait()
