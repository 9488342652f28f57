"""A shadow is lost right after it got all traffic: how soon the primary has it back.

``python -m tests.bench.bench_shadow [--times N] [--rate R]``: killed and frozen in turn, with the
checks of HAProxy as the role writes them. Noticed is when the first HAProxy shows the shadow down.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import RolledBackError
from foreshadow.domain.moves import StepState
from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.bench.table import Row, report
from tests.support.fleet import NAME, Fleet, running_fleet, signal_instance
from tests.support.haproxy import wait_until
from tests.support.mixed_load import Counts, Mix, MixedLoad

A, B = "edge-a", "edge-b"
WAYS = {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP}
BACK_MS = 250.0


@dataclass(frozen=True)
class Loss:
    """One loss of the shadow.

    :ivar noticed_ms: from the loss until a HAProxy shows it down.
    :ivar back_ms: from then until every HAProxy has answered from the primary.
    :ivar longest_ms: of a request, those that were open at the shadow among them.
    :ivar failed: reads and puts that were lost before their answer had begun.
    :ivar broken: streams in the middle of their answer: nobody can ask for the rest of it.
    """

    way: str
    noticed_ms: float
    back_ms: float
    longest_ms: float
    failed: int
    broken: int
    requests: int


def lose(fleet: Fleet, way: str, rate: float) -> Loss:
    """Move all traffic, lose the shadow, and wait until the controller has gone back."""
    here = fleet.ledger.primary(NAME)
    there = B if here == A else A
    noticed: list[float] = []

    def move() -> None:
        with contextlib.suppress(RolledBackError):
            switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()

    with MixedLoad(Mix(tuple(fleet.fronts), rate, traced=True)) as load:
        controller = threading.Thread(target=move)
        controller.start()
        wait_until(lambda: _soaks(fleet), "the shift of all traffic")
        time.sleep(0.5)
        lost_at = time.monotonic()
        signal_instance(fleet, there, WAYS[way])
        while not noticed and time.monotonic() - lost_at < 15:
            if any(_is_down(fleet, name, there) for name in fleet.haproxies):
                noticed.append(time.monotonic())
        controller.join()
    return _told(way, load.counts, lost_at, noticed[0], here)


def _told(way: str, counts: Counts, lost_at: float, noticed: float, primary: str) -> Loss:
    back: dict[str, float] = {}
    for ended, front, host, _ in sorted(counts.trace):
        if ended >= noticed and host == primary:
            back.setdefault(front, ended)
    streams = [lost for lost in counts.lost if lost.kind == "stream"]
    return Loss(
        way,
        1000 * (noticed - lost_at),
        1000 * (max(back.values()) - noticed),
        1000 * max(seconds for *_, seconds in counts.trace),
        len(counts.lost) - len(streams),
        len(streams),
        counts.requests,
    )


def _soaks(fleet: Fleet) -> bool:
    return any(
        (step.name, step.state) == ("soak-100", StepState.STARTED)
        for move in fleet.ledger.unfinished(NAME)
        for step in move.steps
    )


def _is_down(fleet: Fleet, name: str, host: str) -> bool:
    rows = [line.split(",") for line in fleet.haproxies[name].ask("show stat -1 4 -1").splitlines()]
    return any(row[:2] == [NAME, host] and row[17].startswith("DOWN") for row in rows)


def figures(losses: Sequence[Loss]) -> list[Row]:
    """Return the figures, by the way in which the shadow was lost."""
    rows = []
    for way in WAYS:
        mine = [loss for loss in losses if loss.way == way]
        back, failed = max(loss.back_ms for loss in mine), sum(loss.failed for loss in mine)
        noticed = statistics.median(loss.noticed_ms for loss in mine)
        rows += [
            Row(f"{way}: requests", sum(loss.requests for loss in mine), "count"),
            Row(f"{way}: failed requests", failed, "count", 0.0, failed == 0),
            Row(f"{way}: streams that broke off", sum(x.broken for x in mine), "count"),
            Row(f"{way}: noticed after, median", noticed, "ms"),
            Row(f"{way}: back on the primary from then, longest", back, "ms", BACK_MS,
                back <= BACK_MS),
            Row(f"{way}: longest request", max(x.longest_ms for x in mine), "ms"),
        ]  # fmt: skip
    return rows


def main() -> None:
    """Lose shadows, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--rate", type=float, default=500.0)
    arguments = parser.parse_args()
    losses = []
    with (
        tempfile.TemporaryDirectory(prefix="fs-shadow-") as folder,
        running_fleet(Path(folder), policy={"steps": [100], "soak": "30s"}) as fleet,
    ):
        for turn in range(2 * arguments.times):
            losses.append(lose(fleet, list(WAYS)[turn % 2], arguments.rate))
            print(losses[-1], flush=True)
    report("shadow", figures(losses))


if __name__ == "__main__":
    main()
