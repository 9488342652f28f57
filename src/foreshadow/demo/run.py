"""The demo from beginning to end: with Foreshadow, then the same hours without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from foreshadow.demo import summary
from foreshadow.demo.load import Seen, replay
from foreshadow.demo.playbooks import Playbooks
from foreshadow.demo.reactive import Operator
from foreshadow.demo.summary import Run
from foreshadow.demo.trace import HOUR, Trace, read_trace, write_history
from foreshadow.demo.world import EDGES, PORT, PRIMARY, RESOURCE, Replay, World
from foreshadow.domain.clock import MetricClock, MetricTime, WallTime, isoformat, parse_instant
from foreshadow.domain.errors import ForeshadowError
from foreshadow.ledger import Ledger
from foreshadow.operations.context import open_context
from foreshadow.operations.standing import captured

Say = Callable[[str], None]

# A Wednesday morning: demand begins far below the threshold and has passed it by breakfast.
REPLAY = Replay(
    origin=MetricTime(parse_instant("2018-08-15T01:30:00Z")),
    end=MetricTime(parse_instant("2018-08-15T08:30:00Z")),
    rate=300.0,
)
HISTORY_SECONDS = 29 * 24 * HOUR
VEHICLES_AT_CAPACITY = 5900.0
"""Vehicles an hour that stand for all that the first host can serve."""

SCALE = EDGES[PRIMARY][1] / VEHICLES_AT_CAPACITY
BY_HAND = "edge-c"
"""Where a person would move the service: the host with the most room."""

_INTERVAL_SECONDS = 300.0
_LEAD_IN_SECONDS = 4.0


class Demo:
    """One demo: its world, its trace and its playbooks."""

    def __init__(self, world: World, say: Say) -> None:
        self._world = world
        self._say = say
        self._trace: Trace = read_trace()
        self._playbooks = Playbooks(world.inventory, world.logs, world.environment())

    def demand(self, at: MetricTime) -> float:
        """Return requests per second at a metric time."""
        return self._trace.at(at) * SCALE

    async def run(self) -> str:
        """Run both and return the summary."""
        world, say = self._world, self._say
        span = (REPLAY.origin - HISTORY_SECONDS, REPLAY.origin)
        count = write_history(world.history, RESOURCE, self._trace, span, SCALE)
        say(f"history: {count} hours of road traffic until {isoformat(REPLAY.origin)}")
        world.write_inventory(REPLAY, WallTime(time.time()))
        say("converge: agents, load balancers, placement, warm shadows")
        await self._playbooks.play("converge")

        foreshadow = await self._with_foreshadow()
        world.stop(agents=False)
        reactive = await self._without_foreshadow()
        report = world.results / "report.html"
        await self._report(report, foreshadow, reactive)
        summary.write(world.results / "summary.json", foreshadow, reactive)
        return summary.tell(foreshadow, reactive, self._reason(), report)

    async def _begin(self) -> MetricClock:
        """Start the replay's clock, and wait until it shows the origin."""
        started = WallTime(time.time() + _LEAD_IN_SECONDS)
        self._world.write_inventory(REPLAY, started)
        await self._playbooks.module("resource", resources="{{ foreshadow_resources }}")
        await asyncio.sleep(max(0.0, started - time.time()))
        return MetricClock(REPLAY.origin, started, REPLAY.rate)

    async def _with_foreshadow(self) -> Run:
        clock = await self._begin()
        self._say(f"load: {isoformat(REPLAY.origin)}, {REPLAY.rate:g} times as fast as it was")
        seen = Seen(_INTERVAL_SECONDS)
        ages: list[dict[str, Any]] = []
        told = ""
        load = asyncio.create_task(replay(self._world.fronts, self.demand, clock, REPLAY.end, seen))
        try:
            while not load.done():
                await self._playbooks.play("evaluate")
                told = self._tell_decision(told)
                ages += await asyncio.to_thread(self._ages, clock)
            await load
        finally:
            load.cancel()
        return self._outcome(clock, seen, ages)

    def _ages(self, clock: MetricClock) -> list[dict[str, Any]]:
        """Return how old the state of each shadow is now."""
        with open_context(self._world.connection()) as context:
            spec, now = context.ledger.resource(RESOURCE), context.now()
            primary = context.ledger.primary(RESOURCE)
            return [
                {"at": clock.metric(now), "host": host, "seconds": now - at}
                for host, at in captured(context, spec).items()
                if host != primary
            ]

    def _tell_decision(self, told: str) -> str:
        """Say what was decided last, unless that was told already; return what was told."""
        with Ledger.open(self._world.ledger) as ledger:
            last = ledger.decisions(RESOURCE, limit=1)[0]
        blocked = f" ({', '.join(last['blocked_by'])})" if last["blocked_by"] else ""
        line = f"{last['verdict']}{blocked}: {last['reasons'][0]}"
        if line != told:
            self._say(f"{last['at'][11:16]}  {line}")
        return line

    def _outcome(self, clock: MetricClock, seen: Seen, ages: list[dict[str, Any]]) -> Run:
        moves = [move for move in self._switchovers() if move["outcome"] == "switched"]
        if not moves:
            raise ForeshadowError(
                "no switchover was made", where="demo", remedy=f"see {self._world.logs}"
            )
        first = moves[-1]
        moved = WallTime(parse_instant(first["started_at"]) + first["rto_seconds"])
        return Run(
            seen=seen,
            breach_at=self._breach(),
            moved_at=clock.metric(moved),
            rate=REPLAY.rate,
            switchovers=len(moves),
            switch_ms=first["switch_ms"],
            pause_ms=first["pause_ms"],
            staleness=tuple(ages),
        )

    def _breach(self) -> MetricTime:
        """Return when the first host would have passed the threshold, as feedback measured it."""
        with Ledger.open(self._world.ledger) as ledger:
            outcomes = ledger.outcomes(RESOURCE)
        measured = [o.breach_at for o in outcomes if o.breach_at is not None]
        if not measured:
            raise ForeshadowError(
                "feedback measured no breach", where="demo", remedy=f"see {self._world.logs}"
            )
        return measured[-1]

    def _switchovers(self) -> list[dict[str, Any]]:
        with Ledger.open(self._world.ledger) as ledger:
            return [move.plain() for move in ledger.switchovers(RESOURCE)]

    def _reason(self) -> str:
        with Ledger.open(self._world.ledger) as ledger:
            decisions = ledger.decisions(RESOURCE)
        switches = [row for row in decisions if row["verdict"] == "switch"]
        return str(switches[-1]["reasons"][0])

    async def _without_foreshadow(self) -> Run:
        operator = Operator(self._world)
        await operator.set_up(PRIMARY)
        clock = MetricClock(REPLAY.origin, WallTime(time.time()), REPLAY.rate)
        self._say("load: the same hours without Foreshadow")
        seen = Seen(_INTERVAL_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replay(self._world.fronts, self.demand, clock, REPLAY.end, seen))
            moved = tasks.create_task(self._operate(operator, clock))
        return Run(seen, self._breach(), moved.result(), REPLAY.rate, switchovers=1)

    async def _operate(self, operator: Operator, clock: MetricClock) -> MetricTime | None:
        called = await operator.watch(self._measured_utilization, clock, REPLAY.end)
        if called is None:
            return None
        self._say(
            f"{isoformat(called)[11:16]}  the alarm has fired, and a person moves the service"
        )
        await operator.move(PRIMARY, BY_HAND)
        return clock.metric(WallTime(time.time()))

    async def _measured_utilization(self) -> float:
        url = f"http://{self._world.addresses[PRIMARY]}:{PORT}/metrics.json"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            rows = (await answer.json())["requests"]
        return float(sum(row["rate"] for row in rows)) / EDGES[PRIMARY][1]

    async def _report(self, report: Path, foreshadow: Run, reactive: Run) -> None:
        clients = self._world.results / "clients.json"
        summary.write_clients(clients, RESOURCE, {"foreshadow": foreshadow, "reactive": reactive})
        await self._playbooks.module("state_sync", resource=RESOURCE)
        await self._playbooks.module("report", dest=str(report), clients=str(clients))
