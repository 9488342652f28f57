"""Bringing an instance to where it is wanted: up and well, activated, or at rest."""

from __future__ import annotations

import asyncio
from typing import Literal

from foreshadow.agent.checks import refuse_taken_port
from foreshadow.agent.commands import Result, last_lines, run
from foreshadow.agent.probes import Probes
from foreshadow.agent.records import Record
from foreshadow.agent.runner import Runner
from foreshadow.domain.errors import ForeshadowError, ServiceError
from foreshadow.domain.fleet import RunState
from foreshadow.domain.hooks import HttpHook
from foreshadow.domain.spec import Mode
from foreshadow.domain.units import format_duration

HOOK_SECONDS = 30.0
"""How long a hook may take."""

Hook = Literal["reload", "promote", "fence", "go_away"]

_BETWEEN_FAILURES = (0.005, 0.1)
"""The first pause and the longest: a service that starts fast is not waited for longer."""
_LOOKS = (0.001, 0.002)
"""The first pause and the longest between two looks while clients wait."""


class Care:
    """The moves of an instance that need its process and its health together."""

    def __init__(self, runner: Runner, probes: Probes) -> None:
        self.runner = runner
        self._probes = probes

    async def start(self, record: Record) -> Record:
        """Start an instance and wait until it is well.

        :raises ServiceError: when its port is taken, or it does not become well in
            ``start_timeout``; it is stopped again then.
        """
        await refuse_taken_port(self.runner.scope(record))
        record = self.runner.start(record)
        try:
            await self._until_well(record, record.spec.service.health.start_timeout)
        except ForeshadowError:
            await self.runner.stop(record)
            raise
        return record

    async def activate(self, record: Record) -> Record:
        """Thaw or start an instance, let it reload its state, and probe it.

        :raises ServiceError: when it is not well; it is at rest again then.
        """
        if record.outdated:
            record = await self.runner.stop(record)
        before = self.runner.state(record)
        if before not in (RunState.FROZEN, RunState.RUNNING):
            return await self.start(record)
        record = self.runner.thaw(record)
        health = record.spec.service.health
        try:
            await self._reload(record)
            await self._until_well(record, health.timeout * (health.successes + 1))
        except ForeshadowError:
            if before is RunState.FROZEN:
                await self.runner.freeze(record)
            raise
        return record

    async def bring_to_rest(self, record: Record, mode: Mode) -> Record:
        """Let an instance wait as its mode says: started and checked first unless cold.

        :raises ServiceError: when it has to be started and does not become well.
        """
        if mode is Mode.COLD or record.outdated:
            record = await self.runner.stop(record)
        if mode is Mode.COLD:
            return record
        state = self.runner.state(record)
        if state not in (RunState.FROZEN, RunState.RUNNING):
            record = await self.start(await self.runner.stop(record))
            state = RunState.RUNNING
        if mode is Mode.WARM:
            return await self.runner.freeze(record)
        return self.runner.thaw(record) if state is RunState.FROZEN else record

    async def take_over_state(self, record: Record) -> None:
        """Let a running instance see the state that is live now, and become the primary."""
        await self._reload(record)
        await self.hook(record, "promote")

    async def hook(self, record: Record, name: Hook) -> None:
        """Run a hook of the spec, if it names one.

        :raises ServiceError: when it fails.
        """
        hook: HttpHook | tuple[str, ...] = getattr(record.spec.service.hooks, name)
        scope = self.runner.scope(record)
        if isinstance(hook, HttpHook):
            result = await self._probes.ask(scope, hook.method, hook.path, HOOK_SECONDS)
        elif hook:
            result = await run(scope, hook, HOOK_SECONDS, self.runner.pid(record))
        else:
            return
        if not result.ok:
            raise ServiceError(
                f"its hook {name} failed: {result.said}",
                where=scope.where,
                remedy=f"correct service.hooks.{name}, or what it calls",
            )

    async def refuse_unwell(self, record: Record) -> None:
        """Refuse to take care of a running process that does not pass the health check.

        :raises ServiceError: when it does not.
        """
        scope, pid = self.runner.scope(record), self.runner.pid(record)
        result = await self._probes.health(scope, pid)
        if not result.ok:
            raise ServiceError(
                f"pid {pid} runs, but does not pass its health check: {result.said}",
                where=scope.where,
                remedy="correct service.health, or stop that process if it is another service",
            )

    async def refuse_unwell_primary(self, record: Record) -> None:
        """Refuse a primary that does not pass its health check with the state that it took over.

        :raises ServiceError: when it does not.
        """
        result = await self.probe(record, 1)
        if not result.ok:
            raise ServiceError(
                f"fails its health check after its promotion: {result.said}",
                where=self.runner.scope(record).where,
                remedy="look at the service's promote hook",
            )

    async def probe(self, record: Record, successes: int) -> Result:
        """Check the health until it passed ``successes`` times in a row, or once did not."""
        result = Result(False, "was not checked")
        for _ in range(successes):
            match self.runner.state(record):
                case RunState.FAILED:
                    return Result(False, self.runner.why_failed(record))
                case RunState.RUNNING:
                    scope, pid = self.runner.scope(record), self.runner.pid(record)
                    result = await self._probes.health(scope, pid)
                case state:
                    return Result(False, f"is {state.value}")
            if not result.ok:
                return result
        return result

    async def in_flight(self, record: Record) -> int:
        """Return the requests in flight.

        :raises ServiceError: when the service does not tell, or is frozen.
        """
        match self.runner.state(record):
            case RunState.RUNNING:
                return await self._probes.in_flight(self.runner.scope(record))
            case RunState.FROZEN:
                raise ServiceError(
                    "is frozen, and cannot tell its requests in flight",
                    where=self.runner.scope(record).where,
                    remedy="activate it first",
                )
            case _:
                return 0

    async def until_quiet(self, record: Record, seconds: float) -> None:
        """Wait until no request is in flight, asking ever more slowly.

        :raises ServiceError: when one is still after that time, or the service does not tell.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        pause, longest = _LOOKS
        while await self.in_flight(record):
            if loop.time() >= deadline:
                raise ServiceError(
                    f"still has requests open after {format_duration(seconds)}",
                    where=self.runner.scope(record).where,
                    remedy="look at what does not end",
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, longest)

    async def _reload(self, record: Record) -> None:
        if record.spec.service.user is not None:
            await asyncio.to_thread(self.runner.hand_over, record)
        await self.hook(record, "reload")

    async def _until_well(self, record: Record, seconds: float) -> None:
        """Wait until the health check passed as often in a row as the spec asks.

        :raises ServiceError: when the process ends, or the time is over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        scope = self.runner.scope(record)
        pause, longest = _BETWEEN_FAILURES
        while True:
            result = await self.probe(record, record.spec.service.health.successes)
            if result.ok:
                return
            if self.runner.state(record) is RunState.FAILED:
                raise ServiceError(
                    f"its command {self.runner.why_failed(record)}",
                    where=scope.where,
                    remedy="correct the command; it has to stay in the foreground",
                )
            if loop.time() >= deadline:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.05, longest)
        log = last_lines(record.layout.log) if record.marker else ""
        told = f"; last lines of its log: {log}" if log else ""
        raise ServiceError(
            f"did not pass its health check within {format_duration(seconds)} "
            f"({result.said}){told}",
            where=scope.where,
            remedy="correct service.health, or give it a longer health.start_timeout",
        )
