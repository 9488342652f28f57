"""Runs one cell or strike: break, repair, let the next run recover, and look at what it came to."""

from __future__ import annotations

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from foreshadow.domain.errors import ForeshadowError
from foreshadow.operations.context import Connection
from foreshadow.operations.switch import recover
from foreshadow.operations.switch_ports import ports
from tests.support.chaos.cells import STOP_SECONDS, TERM, Cell, Result, Strike
from tests.support.chaos.controller import Controller, Order, running_controller
from tests.support.chaos.evidence import keep_evidence
from tests.support.chaos.faults import FROZEN_SECONDS, VICTIM, Fault, Faults
from tests.support.chaos.fleet import running_chaos
from tests.support.fleet import NAME, Fleet
from tests.support.haproxy import wait_until
from tests.support.mixed_load import Counts, Lost, Mix, MixedLoad

A, B = "edge-a", "edge-b"
_RECOVERY_SECONDS = 30.0
_MOST_PROBLEM = 400
_MOST_TRIES = 3


@dataclass
class Broken:
    """When something was broken, and which front end may lose what it held until when."""

    at: float = 0.0
    front: str | None = None
    until: float = 0.0

    def excuses(self, lost: Lost) -> bool:
        """Return whether a request was held by the HAProxy that was killed or frozen."""
        return lost.front == self.front and lost.opened <= self.until and lost.ended >= self.at


@dataclass
class World:
    """One fleet that cells and strikes follow each other in.

    :ivar rate: requests per second.
    :ivar evidence: where what is left of a cell with problems is kept.
    """

    plan: str
    fleet: Fleet
    faults: Faults
    connection: Connection
    rate: float
    evidence: Path
    _posted: int = 0

    def run(self, cell: Cell) -> Result:
        """Run one cell."""

        def breaking(controller: Controller, source: str, to: str, broken: Broken) -> str:
            said = controller.hear(20)
            if said != "at":
                result.reached = False
                return said
            self._break(cell, controller, source, to, broken)
            said = controller.hear(60) or "killed"
            took = time.monotonic() - broken.at
            if cell.fault == TERM and took > STOP_SECONDS:
                result.problems.append(f"it stopped only after {took:.1f} s")
            return said

        itself = cell.target == "controller" and cell.fault in ("kill", "stop")
        how = cell.fault if itself else "wait"
        result = Result(str(cell))
        return self._under_load(result, (cell.step, cell.moment, how), breaking)

    def strike(self, strike: Strike) -> Result:
        """Kill one process at a random time."""

        def breaking(controller: Controller, source: str, to: str, broken: Broken) -> str:
            began = time.monotonic()
            controller_only = strike.victim == "controller"
            fault = Fault(lambda: controller.signal(signal.SIGKILL))
            if not controller_only:
                fault = self.faults.killed(strike.victim, source, to)
            time.sleep(max(0.0, began + strike.after - time.monotonic()))
            self._note(broken, strike.victim.removeprefix("haproxy-"), "kill",
                       is_haproxy=strike.victim.startswith("haproxy"))  # fmt: skip
            self._bring_about(fault, broken)
            return controller.hear(60) or "killed"

        return self._under_load(Result(str(strike)), ("", "", "wait"), breaking)

    def _under_load(
        self,
        result: Result,
        mark: tuple[str, str, str],
        breaking: Callable[[Controller, str, str, Broken], str],
    ) -> Result:
        """Move under load while something is broken, recover, and look at what has become of it."""
        began = time.monotonic()
        source = self.fleet.ledger.primary(NAME)
        to = B if source == A else A
        broken = Broken()
        try:
            self._clear()
            wait_until(lambda: self._follows(source, to), "the shadow to have the state")
            order = Order(self.connection, NAME, to, *mark)
            mix = Mix(
                tuple(self.fleet.fronts),
                self.rate,
                slow_seconds=0.1 if self.plan == "pause" else 0.4,
                writer=self.plan == "pause",
                first=self._posted,
            )
            with MixedLoad(mix) as load:
                with running_controller(order) as controller:
                    controller.tell()
                    result.outcome = breaking(controller, source, to, broken)[:160]
                    self._recover(result)
                self._agree(result)
            self._count(result, load.counts, broken)
        except (AssertionError, ForeshadowError, OSError, RuntimeError) as error:
            result.problems.append(_told(error))
        result.seconds = round(time.monotonic() - began, 2)
        if result.problems:
            keep_evidence(self.evidence, self.fleet, result)
        return result

    def _break(
        self, cell: Cell, controller: Controller, source: str, to: str, broken: Broken
    ) -> None:
        self._note(broken, VICTIM, cell.fault, is_haproxy=cell.target == "haproxy")
        if cell.target == "controller" and cell.fault == "kill":
            return  # it has killed itself
        if cell.target == "controller" and cell.fault == "stop":
            # The next run takes over when the lease has run out; then the late one wakes up.
            time.sleep(FROZEN_SECONDS)
            self._recover(None)
            controller.signal(signal.SIGCONT)
            return
        if cell.fault == TERM:
            controller.signal(signal.SIGTERM)
            controller.tell()
            return
        match cell.target:
            case "controller":
                fault = self.faults.network_of_the_controller()
            case "source" | "destination":
                fault = self.faults.agent(cell.fault, source if cell.target == "source" else to)
            case "haproxy":
                fault = self.faults.haproxy(cell.fault)
            case _:
                fault = self.faults.ledger(cell.fault)
        self._bring_about(fault, broken, controller, accepts=cell.fault == "stop")

    def _note(self, broken: Broken, name: str, fault: str, *, is_haproxy: bool) -> None:
        broken.at = time.monotonic()
        if is_haproxy and fault in ("kill", "stop"):
            broken.front = self.fleet.fronts[list(self.fleet.haproxies).index(name)]

    def _bring_about(
        self,
        fault: Fault,
        broken: Broken,
        waiting: Controller | None = None,
        *,
        accepts: bool = False,
    ) -> None:
        """Break something, let a controller that waits go on, and repair it.

        :param accepts: what is broken takes connections meanwhile, as a frozen process does; one
            that was killed has none from the moment on at which it is gone.
        """
        fault.act()
        broken.until = time.monotonic()
        if waiting is not None:
            waiting.tell()
        fault.repaired(broken.until)
        if accepts:
            broken.until = time.monotonic()

    def _recover(self, result: Result | None) -> None:
        """Run the next run, and again while leases run out or somebody does not answer yet."""
        deadline = time.monotonic() + _RECOVERY_SECONDS
        said = ""
        while time.monotonic() < deadline:
            try:
                recover(self.fleet.context, NAME).apply()
                if not self.fleet.ledger.unfinished(NAME):
                    return
            except ForeshadowError as error:
                said = str(error)
            time.sleep(0.05)
        if result is not None:
            result.problems.append(f"not recovered: {said}"[:_MOST_PROBLEM])

    def _agree(self, result: Result) -> None:
        primary = self.fleet.ledger.primary(NAME)
        try:
            self.fleet.assert_agreement(primary, [B if primary == A else A])
        except (AssertionError, ForeshadowError, OSError) as error:
            result.problems.append(f"no agreement: {_told(error)}"[:_MOST_PROBLEM])

    def _count(self, result: Result, counts: Counts, broken: Broken) -> None:
        held = [lost for lost in counts.lost if broken.excuses(lost)]
        failed = [lost for lost in counts.lost if not broken.excuses(lost)]
        result.requests, result.late = counts.requests, counts.late
        result.rate = round(counts.requests / counts.seconds, 1)
        result.held, result.failed = len(held), len(failed)
        result.posts, result.refused = len(counts.acknowledged), counts.refused
        self._posted += counts.requests + counts.late
        if failed:
            told = [
                f"{lost.error} at {lost.front}, opened {lost.opened - broken.at:+.3f} s from the "
                "fault"
                for lost in failed[:3]
            ]
            result.problems.append(f"{len(failed)} requests failed: {told}"[:_MOST_PROBLEM])
        if self.plan == "pause":
            missing = sorted(set(counts.acknowledged) - self._written())
            result.unwritten = len(missing)
            if missing:
                told_missing = ", ".join(map(str, missing[:10]))
                result.problems.append(f"{len(missing)} acknowledged writes lost: {told_missing}")

    def _follows(self, source: str, to: str) -> bool:
        return ports(self.fleet.context, self.fleet.spec).sync.standing(source, to) is not None

    def _writes(self) -> Path:
        primary = self.fleet.ledger.primary(NAME)
        return self.fleet.agents.resource(primary, NAME) / "live" / "writes"

    def _written(self) -> set[int]:
        return {int(line) for line in self._writes().read_text().split()}

    def _clear(self) -> None:
        """Forget old writes, so that the state stays small; numbers are never used again."""
        if self.plan == "pause" and self._writes().parent.is_dir():
            self._writes().write_text("")


class Arena:
    """Gives each cell a fleet: the one of the cell before when that went well, else a new one."""

    def __init__(self, rate: float, evidence: Path) -> None:
        self._rate = rate
        self._evidence = evidence
        self._stack = ExitStack()
        self._world: World | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def run(self, one: Cell | Strike) -> Result:
        """Run a cell, or a strike.

        A busy machine may make a switchover end before the instruction of a cell: that has tried
        something, and not what it was to try, so the cell is run again.
        """
        for _ in range(_MOST_TRIES):
            world = self._world_of(one.plan)
            result = world.run(one) if isinstance(one, Cell) else world.strike(one)
            if result.reached or result.problems:
                break
        if result.problems:
            self._leave()  # the next one begins in a world that is known to be well
        return result

    def _world_of(self, plan: str) -> World:
        if self._world is None or self._world.plan != plan:
            self._leave()
            self._world = self._stack.enter_context(_world(plan, self._rate, self._evidence))
        return self._world

    def _leave(self) -> None:
        self._world = None
        self._stack.close()


@contextmanager
def _world(plan: str, rate: float, evidence: Path) -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory(prefix="fs-chaos-", ignore_cleanup_errors=True) as folder,
        running_chaos(Path(folder), plan) as (fleet, faults, connection),
    ):
        yield World(plan, fleet, faults, connection, rate, evidence)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} {error}"[:_MOST_PROBLEM]
