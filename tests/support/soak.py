"""A soak: switchover after switchover under every kind of request, with reloads in between.

The reloads come when they come: between two switchovers, or in the middle of one.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from foreshadow.domain.errors import RolledBackError
from foreshadow.operations.switch import SwitchRequest, recover, switch_over
from foreshadow.switchover.engine import UnfinishedError
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import Haproxy
from tests.support.soak_load import Load, running_load
from tests.support.soak_tally import Tally

HOSTS = ("edge-a", "edge-b")
GO_AWAY = {"hooks": {"go_away": ["sh", "-c", "kill -USR1 $FORESHADOW_PID"]}}


@dataclass
class Soaked:
    """What came of a soak.

    :ivar moved: switchovers that ended on the other host.
    :ivar turned_back: those that a reload in the middle of a change turned back; they are made
        again.
    :ivar switch_ms: of each that moved.
    :ivar rate: requests per second, over the whole time.
    :ivar problems: what did not converge, in words.
    """

    tally: Tally = field(default_factory=Tally)
    moved: int = 0
    turned_back: int = 0
    reloads: int = 0
    switch_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    rate: float = 0.0
    problems: list[str] = field(default_factory=list)


class Reloads:
    """Reloads one HAProxy of a pair after the other, at moments that a seed draws."""

    def __init__(self, haproxies: list[Haproxy], seed: int) -> None:
        self._haproxies = haproxies
        self._draw = random.Random(seed)
        self._stop = threading.Event()
        self._allowed = 0
        self.done = 0
        self.problems: list[str] = []

    def allow(self, count: int) -> None:
        """Let it come to so many in all."""
        self._allowed = count

    @contextmanager
    def running(self) -> Iterator[None]:
        """Reload in the background until the end of the block."""
        thread = threading.Thread(target=self._run, name="reloads")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._draw.uniform(0.1, 2.0)):
            if self.done < self._allowed:
                try:
                    self._haproxies[self.done % len(self._haproxies)].reload()
                except AssertionError as error:
                    self.problems.append(f"reload: {error}")
                self.done += 1


def soak(
    requests: int,
    switchovers: int,
    reloads: int,
    seconds: float,
    steps: tuple[int, ...] = (50, 100),
) -> Soaked:
    """Run until there were as many of each, or the time is over."""
    soaked = Soaked()
    policy = {"steps": list(steps), "soak": "500ms"}
    with (
        tempfile.TemporaryDirectory(prefix="fs-soak-") as folder,
        running_fleet(Path(folder), policy=policy, service=GO_AWAY) as fleet,
    ):
        reloading = Reloads(list(fleet.haproxies.values()), seed=switchovers)
        end = time.monotonic() + seconds
        with running_load(fleet.fronts) as load, reloading.running():
            began = time.monotonic()
            time.sleep(1)
            while soaked.moved < switchovers and time.monotonic() < end:
                reloading.allow(round(reloads * (soaked.moved + 1) / switchovers))
                _move(fleet, soaked)
            _until(load, requests, reloading, reloads, end)
            soaked.seconds = time.monotonic() - began
            soaked.rate = load.tally.requests / soaked.seconds
        soaked.tally = load.tally
        soaked.reloads = reloading.done
        soaked.problems += reloading.problems
        _agree(fleet, soaked)
    return soaked


def _move(fleet: Fleet, soaked: Soaked) -> None:
    """Move the resource to the other host, whatever a reload did to the time before."""
    here = fleet.ledger.primary(NAME)
    there = HOSTS[here == HOSTS[0]]
    fleet.wait_for_state(there)
    try:
        moved = switch_over(fleet.context, SwitchRequest(resource=NAME, to=there)).apply()
        told = moved["switchover"]
        if told["outcome"] == "refused":
            soaked.problems.append(f"refused: {told['error']}")
        elif told["outcome"] == "switched":
            soaked.moved += 1
            soaked.switch_ms.append(told["switch_ms"])
        else:
            recover(fleet.context, NAME).apply()
    except RolledBackError:
        soaked.turned_back += 1
    except UnfinishedError:
        soaked.turned_back += 1
        recover(fleet.context, NAME).apply()


def _until(load: Load, requests: int, reloading: Reloads, reloads: int, end: float) -> None:
    """Let the load go on until everything has come to its number, or the time is over."""
    reloading.allow(reloads)
    while time.monotonic() < end and (load.tally.requests < requests or reloading.done < reloads):
        time.sleep(0.2)


def _agree(fleet: Fleet, soaked: Soaked) -> None:
    recover(fleet.context, NAME).apply()
    primary = fleet.ledger.primary(NAME)
    try:
        fleet.assert_agreement(primary, [HOSTS[primary == HOSTS[0]]])
    except AssertionError as error:
        soaked.problems.append(f"at the end: {error}")
