"""Switchovers back and forth under load: what clients lose, and how long each one takes.

300 requests/s at a pair of HAProxy, half of them on kept connections, with 2-second requests and
streams in flight all the time; the client never retries. A share of the traffic is shifted first
and soaked, as a policy would have it. Moves at once then show, to an observer outside, the engine's
own cost: what is left of a move without the steps that wait for the service, its state or HAProxy's
checks; and how exactly a pair is moved. At the end: how long a shadow of each mode takes to wake.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.bench import activation, precision
from tests.bench.table import Row, report
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.load import Load, Tally

RATE = 300.0
MOVES = 20
HOSTS = ("edge-a", "edge-b")


def moves(fleet: Fleet) -> list[dict[str, Any]]:
    """Move the resource back and forth, and return what each move told."""
    told = []
    for number in range(MOVES):
        to = HOSTS[1 - number % 2]
        fleet.wait_for_state(to)
        request = SwitchRequest(resource=NAME, to=to)
        change = switch_over(fleet.context, request)
        began = time.perf_counter()
        moved = change.apply()["switchover"]
        seconds = time.perf_counter() - began
        if moved["outcome"] != "switched" or moved["error"]:
            raise SystemExit(f"move {number + 1}: {moved['outcome']}, {moved['error']}")
        told.append({**moved, "seconds": seconds})
    return told


def measured(steps: list[int], soak: str) -> tuple[Tally, list[dict[str, Any]], float]:
    """Return what clients saw during the moves, the moves, and their rate of requests."""
    with (
        tempfile.TemporaryDirectory(prefix="fs-bench-") as folder,
        running_fleet(Path(folder), policy={"steps": steps, "soak": soak}) as fleet,
    ):
        began = time.monotonic()
        with Load(fleet.fronts, RATE) as load:
            time.sleep(1)
            told = moves(fleet)
            time.sleep(1)
            seconds = time.monotonic() - began
        return load.tally, told, load.tally.requests / seconds


def rows() -> list[Row]:
    """Measure moves by steps, and moves at once."""
    tally, told, rate = measured([50, 100], "300ms")
    at_once, quick, _ = measured([100], "0s")
    errors = tally.errors + at_once.errors
    if errors:
        print("\n".join(errors))
    failed, truncated = tally.failed + at_once.failed, tally.truncated + at_once.truncated
    return [
        Row("requests", tally.requests + at_once.requests, "count"),
        Row("rate that was kept", rate, "1/s", target=RATE, holds=rate >= 0.95 * RATE),
        Row("failed", failed, "count", target=0.0, holds=failed == 0),
        Row("truncated", truncated, "count", target=0.0, holds=truncated == 0),
        Row("switch_ms by steps, median", median(m["switch_ms"] for m in told), "ms"),
        Row("switch_ms at once, median", median(m["switch_ms"] for m in quick), "ms"),
        Row("whole move at once, median", 1000 * median(m["seconds"] for m in quick), "ms"),
        Row("latency of quick requests, median", 1000 * tally.percentile(0.5), "ms"),
        Row("latency of quick requests, p99", 1000 * tally.percentile(0.99), "ms"),
        *precision.rows(),
        *activation.rows(),
    ]  # fmt: skip


if __name__ == "__main__":
    report("switchover", rows())
