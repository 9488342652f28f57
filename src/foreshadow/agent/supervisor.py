"""What can be done with the instances of a host, one call at a time for each resource.

Each call that acts checks its fencing token when its turn has come, refuses what cannot work
before it touches anything, and leaves nothing half done when the service does not come up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from foreshadow.agent.care import Care
from foreshadow.agent.checks import refuse_unusable_spec
from foreshadow.agent.home import AgentHome
from foreshadow.agent.prepared import Copies, flush
from foreshadow.agent.records import Record
from foreshadow.agent.running import find_running
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import ForeshadowError, RefusedError, ServiceError
from foreshadow.domain.fleet import Capacity, Role, RunState
from foreshadow.domain.protocols import Health
from foreshadow.domain.spec import Mode, ResourceSpec


class Supervisor:
    """The instances of one host."""

    def __init__(self, home: AgentHome, care: Care) -> None:
        self._home = home
        self._care = care
        self._runner = care.runner
        self._records = home.instances
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def recover(self) -> None:
        """Find again what runs; to be called once, before the first call."""
        for record in self._records.all():
            self._runner.recover(record)

    def state(self, record: Record) -> RunState:
        """Return what an instance does now."""
        return self._runner.state(record)

    async def create(
        self, spec: ResourceSpec, capacity: Capacity, mode: Mode, token: int
    ) -> Record:
        """Make a shadow and bring it to rest; an existing one is brought to what is asked.

        :raises RefusedError: when the instance here is the primary.
        :raises SpecError: when the spec cannot work here.
        :raises ServiceError: when the service does not come up.
        """
        async with self._acting(spec.name, token):
            before = self._records.get(spec.name)
            if before is not None and before.role is Role.PRIMARY:
                raise self._is_primary(before)
            record = self._shadow(before, spec, capacity, mode)
            scope = self._runner.scope(record)
            refuse_unusable_spec(scope)
            if before is not None:
                return await self._care.bring_to_rest(self._records.put(record), mode)
            async with self._only_whole(record):
                record.layout.prepare_shadow()
                found = self._runner.orphan(record) or record
                return await self._care.bring_to_rest(self._records.put(found), mode)

    async def adopt(self, spec: ResourceSpec, capacity: Capacity, token: int) -> Record:
        """Take the running primary into care without a restart; start it when none runs.

        :raises RefusedError: when the instance here is a shadow.
        :raises SpecError: when the spec cannot work here.
        :raises ServiceError: when what runs is not well, or nothing runs and it does not come up.
        """
        async with self._acting(spec.name, token):
            before = self._records.get(spec.name)
            if before is not None and before.role is Role.SHADOW:
                raise RefusedError(
                    "is a shadow here, not the primary",
                    where=self._runner.scope(before).where,
                    remedy="make it the primary with the module switchover",
                )
            mode = spec.shadows.mode
            record = self._new(spec, capacity, Role.PRIMARY, mode) if before is None else before
            record = record.model_copy(update={"spec": spec, "capacity": capacity, "mode": mode})
            refuse_unusable_spec(self._runner.scope(record))
            if self._runner.state(record) in (RunState.RUNNING, RunState.FROZEN):
                return self._records.put(record)
            if before is not None:
                return await self._take_primary(record)
            async with self._only_whole(record):
                record.layout.prepare_primary()
                return await self._take_primary(record)

    async def activate(self, spec: ResourceSpec, token: int) -> Record:
        """Thaw or start a shadow, let it reload its state, and probe it.

        :raises ServiceError: when it is not well; it is at rest again then.
        """
        async with self._acting(spec.name, token):
            record = self._records.need(spec.name)
            if record.role is Role.PRIMARY:
                return record
            if record.superseded:
                record.layout.follow_versions()
            return await self._care.activate(record.model_copy(update={"spec": spec}))

    async def freeze(self, resource: str, mode: Mode, token: int) -> Record:
        """Bring a shadow to rest.

        :raises RefusedError: when the instance is the primary.
        """
        async with self._acting(resource, token):
            record = self._records.need(resource)
            if record.role is Role.PRIMARY:
                raise self._is_primary(record)
            record = self._records.put(record.model_copy(update={"mode": mode}))
            await asyncio.to_thread(self._home.copies.drop, record.layout)
            return await self._care.bring_to_rest(record, mode)

    async def prepare(self, resource: str, token: int) -> Record:
        """Make ready what a promotion needs, as far as that is possible ahead of it.

        A disk that has no room for it is no error: the promotion makes its copy itself then.
        """
        async with self._acting(resource, token):
            record = self._records.need(resource)
            if record.role is Role.SHADOW:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self._home.copies.prepare, record.layout)
            return record

    async def promote(self, resource: str, token: int) -> Record:
        """Give a shadow its writable state and the role of the primary.

        :raises RefusedError: when it does not run.
        :raises ServiceError: when a hook fails; it is a shadow still. Or when it is not well with
            its state; it is the primary then, to be demoted.
        """
        async with self._acting(resource, token), self._home.state_lock(resource):
            record = self._records.need(resource)
            if record.role is Role.PRIMARY:
                await self._care.refuse_unwell_primary(record)
                return record
            if self._runner.state(record) is not RunState.RUNNING:
                raise RefusedError(
                    f"is {self._runner.state(record).value}, so it cannot become the primary",
                    where=self._runner.scope(record).where,
                    remedy="activate it first",
                )
            layout = record.layout
            changed = await asyncio.to_thread(_make_writable, record, token, self._home.copies)
            # The disk works while the service takes over: promoted is what both have done.
            flushing = asyncio.create_task(asyncio.to_thread(_flush, record, changed))
            try:
                await self._care.take_over_state(record)
            except ForeshadowError:
                await asyncio.wait([flushing])
                layout.follow_versions()
                raise
            changes = {"role": Role.PRIMARY, "base_version": layout.version()}
            record = self._records.put(record.model_copy(update=changes))
            await asyncio.gather(flushing, self._care.refuse_unwell_primary(record))
            return record

    async def demote(self, resource: str, token: int) -> Record:
        """Take the role of the primary away; what it wrote stays until a newer version is applied.

        :raises ServiceError: when the hook ``fence`` fails; it is the primary still.
        """
        async with self._acting(resource, token):
            record = self._records.need(resource)
            if record.role is Role.PRIMARY:
                if self._runner.state(record) is RunState.RUNNING:
                    await self._care.hook(record, "fence")
                changes = {"role": Role.SHADOW, "base_version": record.layout.version()}
                record = self._records.put(record.model_copy(update=changes))
            record.layout.follow_versions()
            return record

    async def seal(self, resource: str, token: int, within: float = 0.0) -> Record:
        """Let a primary write nothing more, by its hook ``fence``; its role stays.

        :param within: seconds in which the requests that it has must end first; 0 does not ask.
        :raises RefusedError: when it is no primary.
        :raises ServiceError: when requests do not end in time, or the hook fails.
        """
        return await self._hooked(resource, token, "fence", within)

    async def unseal(self, resource: str, token: int) -> Record:
        """Let a primary write again, by its hook ``promote``; one that does not run needs none.

        :raises RefusedError: when it is no primary.
        :raises ServiceError: when the hook fails.
        """
        return await self._hooked(resource, token, "promote")

    async def go_away(self, resource: str, token: int) -> Record:
        """Let an instance go of connections that would not end by themselves, by its hook.

        :raises ServiceError: when the hook ``go_away`` fails.
        """
        async with self._acting(resource, token):
            record = self._records.need(resource)
            if self._runner.state(record) is RunState.RUNNING:
                await self._care.hook(record, "go_away")
            return record

    async def _hooked(
        self, resource: str, token: int, name: Literal["promote", "fence"], within: float = 0.0
    ) -> Record:
        async with self._acting(resource, token):
            record = self._records.need(resource)
            if record.role is not Role.PRIMARY:
                raise RefusedError(
                    "is a shadow here, not the primary",
                    where=self._runner.scope(record).where,
                    remedy="run recover",
                )
            if within:
                await self._care.until_quiet(record, within)
            if self._runner.state(record) is RunState.RUNNING:
                await self._care.hook(record, name)
            return record

    async def deactivate(self, resource: str, token: int) -> Record:
        """Stop the processes."""
        async with self._acting(resource, token):
            return await self._runner.stop(self._records.need(resource))

    async def remove(self, resource: str, token: int) -> None:
        """Stop the processes of a shadow, and forget it and its state.

        A primary is let go: its processes run on, its state stays, and it can be adopted again.
        """
        async with self._acting(resource, token):
            record = self._records.get(resource)
            if record is None:
                return
            if record.role is Role.SHADOW:
                await self._runner.stop(record)
                await asyncio.to_thread(record.layout.remove)
            self._records.remove(resource)
            self._home.sources.forget(resource)

    async def follow(self, resource: str, source: str, token: int) -> None:
        """Take the state of a resource from this host, and no other, from now on."""
        async with self._acting(resource, token):
            self._home.sources.follow(resource, source)

    async def raise_fence(self, resource: str, token: int) -> None:
        """Refuse older tokens from now on; returns when no older call is under way."""
        async with self._acting(resource, token):
            pass

    async def health(self, resource: str, successes: int) -> Health:
        """Probe an instance directly, ``successes`` times in a row."""
        record = self._records.need(resource)
        result = await self._care.probe(record, max(1, successes))
        return Health(result.ok, result.said, WallTime(self._home.now()))

    async def in_flight(self, resource: str) -> int:
        """Return the requests in flight; none when nothing runs."""
        return await self._care.in_flight(self._records.need(resource))

    @asynccontextmanager
    async def _acting(self, resource: str, token: int) -> AsyncIterator[None]:
        self._records.layout(resource)
        async with self._locks[resource]:
            self._home.fences.check(resource, token)
            yield

    @asynccontextmanager
    async def _only_whole(self, record: Record) -> AsyncIterator[None]:
        """Undo what was made of a new instance when it fails; a folder that was there stays."""
        deployed = record.layout.folder.exists()
        try:
            yield
        except ForeshadowError:
            written = self._records.get(record.resource)
            if written is not None:
                await self._runner.stop(written)
                self._records.remove(record.resource)
            if not deployed:
                await asyncio.to_thread(record.layout.remove)
            raise

    async def _take_primary(self, record: Record) -> Record:
        found = self._runner.orphan(record)
        if found is None:
            scope = self._runner.scope(record)
            process = await find_running(scope)
            if process is not None:
                found = record.model_copy(update={"process": process, "marker": ""})
        if found is None:
            return await self._care.start(self._records.put(record))
        await self._care.refuse_unwell(found)
        changes = {"rest": RunState.RUNNING, "thawed_at": self._home.now()}
        return self._records.put(found.model_copy(update=changes))

    def _new(self, spec: ResourceSpec, capacity: Capacity, role: Role, mode: Mode) -> Record:
        layout = self._records.layout(spec.name)
        return Record(spec=spec, capacity=capacity, role=role, mode=mode, layout=layout)

    def _shadow(
        self, before: Record | None, spec: ResourceSpec, capacity: Capacity, mode: Mode
    ) -> Record:
        if before is None:
            return self._new(spec, capacity, Role.SHADOW, mode)
        return before.model_copy(update={"spec": spec, "capacity": capacity, "mode": mode})

    def _is_primary(self, record: Record) -> RefusedError:
        return RefusedError(
            "is the primary, not a shadow",
            where=self._runner.scope(record).where,
            remedy="move the primary elsewhere with the module switchover first",
        )


def _make_writable(record: Record, token: int, copies: Copies) -> Iterable[Path] | None:
    """Give a shadow its writable state, and return what of it to flush; ``None``: all."""
    layout = record.layout
    if not record.superseded and layout.has_written():
        layout.make_writable(token, superseded=False)
        return ()
    ready = copies.take(layout)
    path = None if ready is None else ready.path
    layout.make_writable(token, superseded=record.superseded, prepared=path)
    return None if ready is None else ready.changed


def _flush(record: Record, changed: Iterable[Path] | None) -> None:
    """Bring the state of a primary to the disk.

    :raises ServiceError: when the disk does not take it.
    """
    try:
        flush(record.layout, changed)
    except OSError as error:
        raise ServiceError(
            f"its state cannot be written to the disk: {error.strerror or error}",
            where=f"resource {record.resource}",
            remedy="make room or check the disk",
        ) from None
