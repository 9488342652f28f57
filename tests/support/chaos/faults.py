"""What can be broken, and how the world repairs itself, as an init system would."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.support.chaos.controller import LEASE_SECONDS
from tests.support.fleet import Fleet
from tests.support.postgres import Postgres
from tests.support.proxies import Proxies

VICTIM = "lb-1"
"""The load balancer that the faults of a cell are about."""
FROZEN_SECONDS = LEASE_SECONDS + 0.5
DOWN_SECONDS = 0.3


def _nothing() -> None:
    return


@dataclass(frozen=True)
class Fault:
    """Something to break, and how it is repaired after a while."""

    act: Callable[[], None]
    repair: Callable[[], None] = _nothing
    seconds: float = 0.0

    def repaired(self, since: float) -> None:
        """Repair it, when it has lasted since then for as long as it is to."""
        time.sleep(max(0.0, since + self.seconds - time.monotonic()))
        self.repair()


@dataclass(frozen=True)
class Faults:
    """The faults of one fleet."""

    fleet: Fleet
    proxies: Proxies
    postgres: Postgres

    def agent(self, fault: str, host: str) -> Fault:
        """Break the agent of a host."""
        agents = self.fleet.agents

        def start() -> None:
            agents.start(host)
            agents.wait(host)

        match fault:
            case "kill":
                return Fault(lambda: agents.kill(host), start, DOWN_SECONDS)
            case "stop":
                return Fault(
                    lambda: agents.signal(host, signal.SIGSTOP),
                    lambda: agents.signal(host, signal.SIGCONT),
                    FROZEN_SECONDS,
                )
            case _:
                return Fault(lambda: self.proxies.reset(host))

    def haproxy(self, fault: str, name: str = VICTIM) -> Fault:
        """Break a load balancer, or the way of its agent to it."""
        haproxy = self.fleet.haproxies[name]
        match fault:
            case "kill":
                return Fault(haproxy.kill, haproxy.start, DOWN_SECONDS)
            case "stop":
                frozen = ExitStack()
                return Fault(
                    lambda: frozen.enter_context(haproxy.freeze()), frozen.close, FROZEN_SECONDS
                )
            case _:
                return Fault(lambda: self.proxies.reset(f"haproxy-{name}", name))

    def ledger(self, fault: str) -> Fault:
        """Break the database."""
        match fault:
            case "kill":
                return Fault(self.postgres.kill, self.postgres.start, DOWN_SECONDS)
            case "stop":
                return Fault(
                    lambda: self.postgres.signal(signal.SIGSTOP),
                    lambda: self.postgres.signal(signal.SIGCONT),
                    FROZEN_SECONDS,
                )
            case _:
                return Fault(lambda: self.proxies.reset("ledger"))

    def network_of_the_controller(self) -> Fault:
        """Reset every connection that a controller has."""
        return Fault(lambda: self.proxies.reset(*self.fleet.agents.hosts, "ledger"))

    def killed(self, victim: str, source: str, destination: str) -> Fault:
        """Kill what a random strike names; the controller is killed by who knows it."""
        match victim:
            case "source" | "destination":
                return self.agent("kill", source if victim == "source" else destination)
            case "ledger":
                return self.ledger("kill")
            case "lb-1" | "lb-2":
                return self.agent("kill", victim)
            case _:
                return self.haproxy("kill", victim.removeprefix("haproxy-"))
