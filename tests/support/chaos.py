"""Breaking one thing at one instruction of a switchover, with real processes under load.

A cell is (step, moment, target, fault). The controller is stopped at the instruction, the fault is
brought about, the world repairs itself as an init system would (killed processes are started again,
frozen ones run on), the next run recovers; then everything must agree and no request be lost.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from foreshadow.domain.errors import ForeshadowError
from foreshadow.operations.switch import recover
from tests.support.chaos_controller import LEASE_SECONDS
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import free_port
from tests.support.load import Load, Tally
from tests.support.postgres import Postgres, running_postgres
from tests.support.proxies import Proxies, running_proxies

A, B = "edge-a", "edge-b"
VICTIM = "lb-1"
"""The load balancer that faults are about."""
STEPS = ("preflight", "fence", "sync", "activate", "promote", "admit", "shift-50", "soak-50",
         "shift-100", "soak-100", "verify", "drain", "commit", "retire", "persist", "demote",
         "freeze", "resync")  # fmt: skip
MOMENTS = ("before", "done", "journaled")
TARGETS = ("controller", "source", "destination", "haproxy", "ledger")
FAULTS = ("kill", "stop", "reset")
POLICY = {"steps": [50, 100], "soak": "200ms"}

FROZEN_SECONDS = LEASE_SECONDS + 0.7
DOWN_SECONDS = 0.3
CONTROLLER = Path(__file__).with_name("chaos_controller.py")


@dataclass(frozen=True, order=True)
class Cell:
    """One thing broken at one instruction."""

    step: str
    moment: str
    target: str
    fault: str

    def __str__(self) -> str:
        return f"{self.step}/{self.moment}/{self.target}/{self.fault}"


@dataclass
class Result:
    """What came of a cell.

    :ivar problems: what should not be; empty when all is well.
    :ivar reached: whether the controller came to the instruction.
    :ivar held: requests that an HAProxy held which was itself killed or frozen, and that were lost.
    """

    cell: Cell
    outcome: str = ""
    requests: int = 0
    failed: int = 0
    held: int = 0
    seconds: float = 0.0
    reached: bool = True
    problems: list[str] = field(default_factory=list)


def every_cell() -> list[Cell]:
    """Return the whole enumeration, in the order of the switchover."""
    return [Cell(*parts) for parts in product(STEPS, MOMENTS, TARGETS, FAULTS)]


@dataclass
class Chaos:
    """A fleet whose every process and connection can be broken."""

    fleet: Fleet
    proxies: Proxies
    postgres: Postgres
    url: str
    rate: float
    _next: subprocess.Popen[bytes] | None = None

    def run(self, cell: Cell) -> Result:
        """Run one cell."""
        began = time.monotonic()
        source = self.fleet.ledger.primary(NAME)
        destination = B if source == A else A
        result = Result(cell)
        broke_at = [began]
        with Load(self.fleet.fronts, self.rate, seconds=0.5, try_next=True) as load:
            how = cell.fault if cell.target == "controller" and cell.fault != "reset" else "wait"
            with self._controller(destination, cell, how) as process:
                try:
                    said = self._until_there(process)
                    result.reached = said == "at"
                    broke_at[0] = time.monotonic()
                    self._break(cell, process, source, destination)
                    out = process.communicate(timeout=60)[0] if said == "at" else b""
                    result.outcome = (out.decode().strip() or said or "killed").split("\n")[-1][
                        :110
                    ]
                except (subprocess.TimeoutExpired, AssertionError, ForeshadowError) as error:
                    result.problems.append(f"controller: {type(error).__name__} {error}"[:300])
            self._recover(result)
            self._agree(result)
        self._count(result, load.tally, broke_at[0])
        result.seconds = time.monotonic() - began
        return result

    def _until_there(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdin.write(b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode().strip()

    @contextmanager
    def _controller(self, to: str, cell: Cell, how: str) -> Iterator[subprocess.Popen[bytes]]:
        known = self.fleet.connection
        process = subprocess.Popen(
            [sys.executable, str(CONTROLLER), self.url, str(known.ca), str(known.cert),
             str(known.key), to, cell.step, cell.moment, how],
            cwd=CONTROLLER.parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _break(
        self, cell: Cell, process: subprocess.Popen[bytes], source: str, destination: str
    ) -> None:
        if process.poll() is not None and cell.target != "controller":
            return
        match cell.target:
            case "controller":
                self._break_controller(cell.fault, process)
                return
            case "source" | "destination":
                host = source if cell.target == "source" else destination
                act, repair = self._agent_fault(cell.fault, host)
            case "haproxy":
                act, repair = self._haproxy_fault(cell.fault)
            case _:
                act, repair = self._ledger_fault(cell.fault)
        act()
        self._go_on(process)
        if cell.fault != "reset":
            time.sleep(DOWN_SECONDS if cell.fault == "kill" else FROZEN_SECONDS)
        repair()

    def _go_on(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()

    def _break_controller(self, fault: str, process: subprocess.Popen[bytes]) -> None:
        match fault:
            case "kill":
                process.wait(5)
            case "stop":
                # The next run takes over when the lease has run out; then the late one wakes up.
                time.sleep(FROZEN_SECONDS)
                self._recover(None)
                process.send_signal(signal.SIGCONT)
            case _:
                self.proxies.reset(*self.fleet.agents.hosts, "ledger")
                self._go_on(process)

    def _agent_fault(self, fault: str, host: str) -> tuple[Callable[[], None], Callable[[], None]]:
        agents = self.fleet.agents

        def start() -> None:
            agents.start(host)
            agents.wait(host)

        match fault:
            case "kill":
                return lambda: agents.kill(host), start
            case "stop":
                return (
                    lambda: agents.signal(host, signal.SIGSTOP),
                    lambda: agents.signal(host, signal.SIGCONT),
                )
            case _:
                return lambda: self.proxies.reset(host), _nothing

    def _haproxy_fault(self, fault: str) -> tuple[Callable[[], None], Callable[[], None]]:
        haproxy = self.fleet.haproxies[VICTIM]
        match fault:
            case "kill":
                return haproxy.kill, haproxy.start
            case "stop":
                frozen = ExitStack()
                return lambda: frozen.enter_context(haproxy.freeze()), frozen.close
            case _:
                names = (f"haproxy-{VICTIM}", VICTIM)
                return lambda: self.proxies.reset(*names), _nothing

    def _ledger_fault(self, fault: str) -> tuple[Callable[[], None], Callable[[], None]]:
        match fault:
            case "kill":
                return self.postgres.kill, self.postgres.start
            case "stop":
                return (
                    lambda: self.postgres.signal(signal.SIGSTOP),
                    lambda: self.postgres.signal(signal.SIGCONT),
                )
            case _:
                return lambda: self.proxies.reset("ledger"), _nothing

    def _recover(self, result: Result | None) -> None:
        """Run the next run, and again while leases run out or somebody does not answer yet."""
        deadline = time.monotonic() + 30
        said = ""
        while time.monotonic() < deadline:
            try:
                recover(self.fleet.context, NAME).apply()
                if not self.fleet.ledger.unfinished(NAME):
                    return
            except ForeshadowError as error:
                said = str(error)
            time.sleep(0.1)
        if result is not None:
            result.problems.append(f"not recovered: {said}"[:400])

    def _agree(self, result: Result) -> None:
        primary = self.fleet.ledger.primary(NAME)
        try:
            self.fleet.assert_agreement(primary, [B if primary == A else A])
        except (AssertionError, ForeshadowError, OSError) as error:
            result.problems.append(f"no agreement: {type(error).__name__} {error}"[:400])

    def _count(self, result: Result, tally: Tally, broke_at: float) -> None:
        cell = result.cell
        excused = cell.target == "haproxy" and cell.fault in ("kill", "stop")
        front = self.fleet.fronts[list(self.fleet.haproxies).index(VICTIM)]
        held = [
            one for one in tally.lost
            if excused and one.front == front and one.opened <= broke_at + FROZEN_SECONDS
            and (cell.fault == "stop" or one.opened <= broke_at + 0.1)
        ]  # fmt: skip
        result.requests, result.held = tally.requests, len(held)
        result.failed = len(tally.lost) - len(held)
        if result.failed:
            result.problems.append(f"{result.failed} requests failed: {tally.errors[:3]}"[:400])


def _nothing() -> None:
    return


@contextmanager
def running_chaos(folder: Path, rate: float) -> Iterator[Chaos]:
    """Run a fleet behind proxies, with its ledger on PostgreSQL, until the end of the block."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        proxies = stack.enter_context(running_proxies())
        port = free_port(postgres.address)
        proxies.add("ledger", (postgres.address, port), (postgres.address, postgres.port))
        fleet = stack.enter_context(
            running_fleet(
                folder,
                ledger_url=postgres.url(),
                proxies=proxies,
                policy=POLICY,
                sync={"interval": "1s", "max_staleness": "1h"},
            )
        )
        yield Chaos(fleet, proxies, postgres, postgres.url(port), rate)
