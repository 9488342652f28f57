"""Recording what primaries and the host do, once a second.

For each primary that runs here: ``rate`` (per second), ``latency`` and ``p99`` (seconds) from its
profile, ``cpu`` (cores) and ``memory`` (bytes) of its processes. For the host itself, under
:data:`~foreshadow.domain.series.HOST`: ``cpu`` (cores), ``memory`` (bytes) and ``load``. Shadows
are not recorded, so that the series of all hosts together are one history of the resource.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import psutil

from foreshadow.agent.home import AgentHome
from foreshadow.agent.processes import Process, family, find, table
from foreshadow.agent.records import Record
from foreshadow.agent.remarks import Remarks
from foreshadow.agent.runner import Runner
from foreshadow.agent.samples import MINUTE, Key, Samples
from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.protocols import Scene
from foreshadow.domain.series import HOST
from foreshadow.sync.profile import ProfileCapture

Source = Callable[[], Awaitable[Mapping[Key, float]]]
"""Gives values by resource and series, for this moment."""


class Recorder:
    """Takes samples at a regular interval and keeps them.

    :param interval: seconds between two samples.
    """

    def __init__(
        self, home: AgentHome, runner: Runner, samples: Samples, interval: float = 1.0
    ) -> None:
        self._home = home
        self._runner = runner
        self._samples = samples
        self._interval = interval
        self._profile = ProfileCapture({}, timeout=max(interval, 1.0))
        self._used: dict[str, tuple[WallTime, float]] = {}
        self._remarks = Remarks()
        self._sources: list[Source] = [self._primaries, self._host]
        self._asked: dict[Source, asyncio.Task[Mapping[Key, float]]] = {}
        psutil.cpu_percent()

    def add(self, source: Source) -> None:
        """Record what a source gives, beside the rest, from the next sample on."""
        self._sources.append(source)

    async def run(self) -> None:
        """Record until cancelled."""
        try:
            await self._run()
        finally:
            for task in self._asked.values():
                task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due, condense_at = loop.time(), loop.time()
        while True:
            with self._remarks.tried("recording"):
                await self.record()
            if loop.time() >= condense_at:
                with self._remarks.tried("condensing what was recorded"):
                    self._samples.condense(self._home.now())
                with self._remarks.tried("trimming logs"):
                    self._runner.trim_logs()
                condense_at = loop.time() + MINUTE
            # A tick that was missed is left out: no burst follows a pause.
            due = max(due + self._interval, loop.time())
            await asyncio.sleep(due - loop.time())

    async def record(self) -> None:
        """Take one sample of everything.

        A source that takes longer than the interval holds nothing up: its answer belongs to the
        sample during which it comes.
        """
        at = self._home.now()
        for source in self._sources:
            if source not in self._asked:
                self._asked[source] = asyncio.create_task(self._ask(source))
        await asyncio.wait(self._asked.values(), timeout=self._interval)
        values: dict[Key, float] = {}
        for source, task in list(self._asked.items()):
            if task.done():
                values |= self._asked.pop(source).result()
        self._samples.put(at, values)

    async def _ask(self, source: Source) -> Mapping[Key, float]:
        """Return what a source gives: nothing, and a line in the log, when it cannot."""
        values: dict[Key, float] = {}
        with self._remarks.tried(f"recording by {source!r}"):
            values.update(await source())
        return values

    async def _primaries(self) -> Mapping[Key, float]:
        primaries = [
            record
            for record in self._home.instances.all()
            if record.role is Role.PRIMARY and self._runner.state(record) is RunState.RUNNING
        ]
        if not primaries:
            return {}
        values: dict[Key, float] = {}
        processes = await asyncio.to_thread(table)
        told = await asyncio.gather(*(self._workload(record) for record in primaries))
        for record, workload in zip(primaries, told, strict=True):
            named = self._consumption(record, processes) | workload
            values |= {(record.resource, series): value for series, value in named.items()}
        return values

    async def _workload(self, record: Record) -> dict[str, float]:
        if record.spec.service.profile is None:
            return {}
        scene = Scene(
            state=record.live,
            values=self._runner.scope(record).values(),
            service=record.spec.service,
            shared_machine=self._home.shared_machine,
            scratch=record.layout.folder,
        )
        found = await asyncio.to_thread(self._profile.capture, scene)
        self._remarks.say(record.resource, "; ".join(found.notes))
        return {} if found.profile is None else _totals(found.profile)

    def _consumption(self, record: Record, processes: list[Process]) -> dict[str, float]:
        """Return the cores and bytes that the processes of an instance use."""
        leader = None if record.process is None else find(record.process, record.sign)
        if leader is None:
            return {}
        mine = family(leader, processes)
        now, used = self._home.now(), sum(process.cpu for process in mine)
        before, used_before = self._used.get(record.resource, (now, used))
        self._used[record.resource] = (now, used)
        values = {"memory": float(sum(process.memory for process in mine))}
        if now > before:
            values["cpu"] = max(0.0, used - used_before) / (now - before)
        return values

    async def _host(self) -> Mapping[Key, float]:
        cores = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        memory = psutil.virtual_memory()
        values = {"cpu": cores, "memory": memory.total - memory.available}
        values["load"] = os.getloadavg()[0]
        return {(HOST, series): float(value) for series, value in values.items()}


def _totals(profile: tuple[dict[str, Any], ...]) -> dict[str, float]:
    """Return the total rate, the mean latency weighted by rate, and the highest p99."""
    rate = sum(row["rate"] for row in profile)
    values = {"rate": rate}
    if rate > 0:
        values["latency"] = sum(row["rate"] * row["latency"] for row in profile) / rate
        highest = [row["p99"] for row in profile if "p99" in row and row["rate"] > 0]
        if highest:
            values["p99"] = max(highest)
    return values
