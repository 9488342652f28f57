"""The background schedule: a round on each interval for as long as the primary is here.

It is kept in the agent's store and goes on after a restart. A destination that fails is left alone
for a while that doubles each time, without holding up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, field
from typing import Any

from foreshadow.agent.home import AgentHome
from foreshadow.agent.sync_rounds import Rounds
from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.fleet import Host, Role

_KIND = "sync_schedule"
_JITTER = 0.1
_LONGEST_BACK_OFF = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule as it was asked for.

    :ivar interval: seconds between two rounds.
    :ivar token: under which it was asked for.
    """

    interval: float
    token: int
    hosts: tuple[Host, ...]

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        hosts = [{"name": h.name, "address": h.address, "port": h.port} for h in self.hosts]
        return {"interval": self.interval, "token": self.token, "hosts": hosts}

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Plan:
        """Return the plan in JSON types."""
        hosts = tuple(Host.model_validate(host) for host in raw["hosts"])
        return cls(raw["interval"], raw["token"], hosts)


@dataclass(slots=True)
class _Lane:
    """The rounds to one destination: the one under way, and when the next may begin."""

    round: asyncio.Task[None] | None = None
    failures: int = 0
    not_before: float = 0.0
    told: str = ""


@dataclass(slots=True)
class _Running:
    plan: Plan
    ticking: asyncio.Task[None] | None = None
    lanes: dict[str, _Lane] = field(default_factory=dict)


class Schedules:
    """The schedules of one agent."""

    def __init__(self, home: AgentHome, rounds: Rounds) -> None:
        self._home = home
        self._rounds = rounds
        self._running: dict[str, _Running] = {}

    def start(self) -> None:
        """Go on with the schedules that were there before a restart."""
        for resource, raw in self._home.store.all(_KIND).items():
            self._run(resource, Plan.of(raw))

    async def stop(self) -> None:
        """Stop for now: the schedules go on when the agent is started again."""
        for resource in list(self._running):
            await self._end(resource)

    def plan(self, resource: str) -> Plan | None:
        """Return the schedule of a resource, if it has one."""
        running = self._running.get(resource)
        return None if running is None else running.plan

    async def set(self, resource: str, plan: Plan) -> None:
        """Schedule a resource, over any schedule that it had; its first round is due at once."""
        self._home.store.put(_KIND, resource, plan.plain())
        await self._end(resource)
        self._run(resource, plan)

    async def remove(self, resource: str) -> None:
        """Take a schedule away; the round under way is broken off and loses nothing."""
        self._home.store.remove(_KIND, resource)
        await self._end(resource)

    def _run(self, resource: str, plan: Plan) -> None:
        running = self._running[resource] = _Running(plan)
        running.lanes = {host.name: _Lane() for host in plan.hosts}
        running.ticking = asyncio.create_task(self._tick(resource, running))

    async def _end(self, resource: str) -> None:
        running = self._running.pop(resource, None)
        if running is None:
            return
        tasks = [running.ticking, *(lane.round for lane in running.lanes.values())]
        for task in tasks:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _tick(self, resource: str, running: _Running) -> None:
        loop = asyncio.get_running_loop()
        while True:
            record = self._home.instances.get(resource)
            if record is not None and record.role is Role.PRIMARY:
                for host in running.plan.hosts:
                    lane = running.lanes[host.name]
                    if (lane.round is None or lane.round.done()) and loop.time() >= lane.not_before:
                        lane.round = asyncio.create_task(self._round(resource, host, running))
            await asyncio.sleep(running.plan.interval * random.uniform(1 - _JITTER, 1 + _JITTER))

    async def _round(self, resource: str, host: Host, running: _Running) -> None:
        lane = running.lanes[host.name]
        try:
            standing = (await self._rounds.run(resource, [host]))[host.name]
            problem = standing.error
        except ForeshadowError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - told below; the next round tries again
            problem = f"{type(error).__name__}: {error}"
        if problem and problem != lane.told:
            _log.warning("the state of %s on %s falls behind: %s", resource, host.name, problem)
        elif lane.told and not problem:
            _log.info("the state of %s on %s is up to date again", resource, host.name)
        lane.told = problem
        lane.failures = lane.failures + 1 if problem else 0
        lane.not_before = asyncio.get_running_loop().time() + self._back_off(running.plan, lane)

    def _back_off(self, plan: Plan, lane: _Lane) -> float:
        """Return the seconds to leave a destination alone after failures."""
        if not lane.failures:
            return 0.0
        longest = max(_LONGEST_BACK_OFF, plan.interval)
        seconds: float = min(plan.interval * 2.0 ** min(lane.failures - 1, 16), longest)
        return seconds * random.uniform(1 - _JITTER, 1)
