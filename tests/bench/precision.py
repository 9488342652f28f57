"""How exactly a pair of HAProxy is moved, seen from outside: commands at their sockets, requests.

An observer stands between each agent and its HAProxy and notes when the source is told to drain; it
also sends requests to both, and notes the last one that the source answered.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from foreshadow.operations.switch import SwitchRequest, switch_over
from tests.bench.table import Row
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.watch import Seen, Wanted, watching

RATE = 400.0
MOVES = 20
MOVED_MS, SKEW_MS, OVERHEAD_MS = 5.0, 10.0, 100.0
WAITING = ("sync", "activate", "promote", "admit", "drain")
"""Steps whose time is the service's, its state's, or that of HAProxy's checks."""


@dataclass(frozen=True)
class Move:
    """One move.

    :ivar lags: for each HAProxy, milliseconds from its command to the last request on the source.
    :ivar skew: milliseconds between the two commands.
    :ivar overhead: milliseconds of the whole move without the steps that wait for others.
    """

    lags: tuple[float, ...]
    skew: float
    overhead: float


def tapped(path: Path) -> Path:
    """Return where the observer stands for a HAProxy's own socket."""
    return path.with_name("tapped.sock")


def rows() -> list[Row]:
    """Move there and back, and tell."""
    with (
        tempfile.TemporaryDirectory(prefix="fs-bench-") as folder,
        running_fleet(
            Path(folder), bare=True, socket_of=tapped, policy={"steps": [100], "soak": "0s"}
        ) as fleet,
    ):
        sockets = [haproxy.socket for haproxy in fleet.haproxies.values()]
        taps = {str(tapped(path)): str(path) for path in sockets}
        with watching(Wanted([], 1.0, taps)):
            fleet.set_up()
        told = [_move(fleet, taps) for _ in range(MOVES)]
    lags = [lag for move in told for lag in move.lags]
    skews = [move.skew for move in told]
    middle, apart = median(lags), median(skews)
    cost = median(move.overhead for move in told)
    return [
        Row("engine overhead for a pair of HAProxy, median", cost, "ms", OVERHEAD_MS,
            cost <= OVERHEAD_MS),
        Row("moved on each HAProxy after its command, median", middle, "ms", MOVED_MS,
            middle <= MOVED_MS),
        Row("moved on each HAProxy after its command, worst", max(lags), "ms"),
        Row("skew of the pair, median", apart, "ms", SKEW_MS, apart <= SKEW_MS),
        Row("skew of the pair, worst", max(skews), "ms"),
    ]  # fmt: skip


def _move(fleet: Fleet, taps: dict[str, str]) -> Move:
    source = fleet.ledger.primary(NAME)
    to = "edge-b" if source == "edge-a" else "edge-a"
    with watching(Wanted(fleet.fronts, RATE, taps)) as watch:
        time.sleep(0.3)
        fleet.wait_for_state(to)
        change = switch_over(fleet.context, SwitchRequest(resource=NAME, to=to))
        began = time.perf_counter()
        moved = change.apply()
        seconds = time.perf_counter() - began
        time.sleep(0.2)
    if moved["switchover"]["outcome"] != "switched":
        raise SystemExit(f"{moved['switchover']['outcome']}: {moved['switchover']['error']}")
    steps = moved["switchover"]["steps"]
    waited = sum(step["seconds"] for step in steps if step["name"] in WAITING)
    lags, skew = measured(watch.seen, source, list(zip(fleet.fronts, taps, strict=True)))
    return Move(lags, skew, 1000 * (seconds - waited))


def measured(
    seen: Seen, source: str, pairs: list[tuple[str, str]]
) -> tuple[tuple[float, ...], float]:
    """Return the lags and the skew of what was seen.

    :param pairs: each front end with the socket at which its HAProxy was told.
    """
    if seen.failed:
        raise SystemExit(f"{seen.failed} requests failed")
    lags, told_at = [], []
    for front, socket in pairs:
        told = [at for one, at, command in seen.commands
                if one == socket and command.endswith(f"/{source} state drain")]  # fmt: skip
        told_at.append(told[-1])
        lags.append(1000 * max(0.0, seen.moved_at(source, front) - told[-1]))
    return tuple(lags), 1000 * (max(told_at) - min(told_at))
