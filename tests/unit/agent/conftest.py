"""One agent's supervisor in this process, with real services behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from foreshadow.agent.care import Care
from foreshadow.agent.home import AgentHome
from foreshadow.agent.probes import open_probes
from foreshadow.agent.runner import Runner
from foreshadow.agent.supervisor import Supervisor
from foreshadow.wire.credentials import Credentials
from tests.support.agents import end_instances, loopback

NOWHERE = Credentials(Path("ca"), Path("cert"), Path("key"))


class Bench:
    """A supervisor, and what it is made of; :meth:`reborn` is what a restart of the agent gives."""

    def __init__(self, home: AgentHome, care: Care) -> None:
        self.home = home
        self.care = care
        self.runner = care.runner
        self.supervisor = Supervisor(home, care)
        self.supervisor.recover()

    @property
    def address(self) -> str:
        return self.home.address


@pytest.fixture
async def rebirth(tmp_path: Path) -> AsyncIterator[Callable[[], Bench]]:
    """Give a function that starts the agent, again after it was killed if need be."""
    address = loopback()
    homes: list[AgentHome] = []
    async with open_probes() as probes:

        def start() -> Bench:
            for home in homes:
                home.close()
            homes[:] = [
                AgentHome("edge-a", address, tmp_path / "state", NOWHERE, shared_machine=True)
            ]
            return Bench(homes[0], Care(Runner(homes[0]), probes))

        yield start
    for home in homes:
        home.close()
    end_instances(tmp_path)


@pytest.fixture
def bench(rebirth: Callable[[], Bench]) -> Bench:
    return rebirth()
