"""Rounds from this agent to others, and what came of the last one to each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass, replace

import grpc
import grpc.aio

from foreshadow.agent.home import AgentHome
from foreshadow.agent.records import Record
from foreshadow.agent.sync_source import Shape, Source
from foreshadow.agent.threads import in_thread
from foreshadow.domain.errors import ForeshadowError, RefusedError, SyncError
from foreshadow.domain.fleet import Host, Role
from foreshadow.sync.send import Destination, Sent
from foreshadow.sync.snapshot import Snapshot
from foreshadow.wire.channel import open_aio_channel
from foreshadow.wire.client import failure
from foreshadow.wire.gen.sync_pb2 import SyncResult
from foreshadow.wire.gen.sync_pb2_grpc import SyncStub

_KIND = "sync_result"
_DIAGNOSE_SECONDS = 5.0

_UNUSED = 3600.0
"""Seconds without a round after which a connection is closed."""

Way = tuple[str, str, str, int]
"""Resource, host, address and port: each pair has a connection of its own."""


@dataclass(slots=True)
class _Connection:
    """A way that is open; ``used`` at a time of the event loop."""

    channel: grpc.aio.Channel
    destination: Destination
    used: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a destination stands, and how the last round to it ended.

    :ivar root: of the version that it acknowledged last.
    :ivar captured_at: wall time of the last capture that it was brought to; 0 before the first.
    """

    version: int = 0
    root: str = ""
    acknowledged_at: float = 0.0
    captured_at: float = 0.0
    changed: bool = False
    offered_version: int = 0
    bytes_sent: int = 0
    files_changed: int = 0
    profile_changed: bool = False
    error: str = ""
    error_code: str = ""

    def message(self, host: str) -> SyncResult:
        """Return it as a message."""
        return SyncResult(host=host, ok=not self.error, **asdict(self))


class Rounds:
    """Runs rounds for the resources whose primary is on this host."""

    def __init__(self, home: AgentHome) -> None:
        self._home = home
        self._sources: dict[str, Source] = {}
        self._ways: dict[Way, _Connection] = {}
        self._standings = {k: Standing(**v) for k, v in home.store.all(_KIND).items()}

    def need_primary(self, resource: str) -> Record:
        """Return the record of a resource whose primary is here.

        :raises UnknownNameError: when there is no instance of it.
        :raises RefusedError: when it is a shadow.
        """
        record = self._home.instances.need(resource)
        if record.role is not Role.PRIMARY:
            raise RefusedError(
                "is not the primary, so there is nothing to send from it",
                where=f"resource {resource} on host {self._home.host}",
                remedy="ask the agent of the primary",
            )
        return record

    async def run(
        self, resource: str, hosts: Iterable[Host], *, dry_run: bool = False, final: bool = False
    ) -> dict[str, Standing]:
        """Bring destinations to the state as it is from now on, all at once; tell how each ended.

        A destination that fails does not hold up the others.

        :param final: requests are held for it, and a promotion follows at once.

        :raises RefusedError: when the primary is not here.
        :raises SpecError: when the state cannot be captured as the spec has it.
        """
        source = self._source(self.need_primary(resource))
        since = asyncio.get_running_loop().time()
        wanted = list(hosts)
        ends = await asyncio.gather(
            *(
                self._one(source, resource, host, since, dry_run=dry_run, final=final)
                for host in wanted
            )
        )
        return {host.name: end for host, end in zip(wanted, ends, strict=True)}

    def standing(self, resource: str, host: str) -> Standing:
        """Return where a destination stands."""
        return self._standings.get(f"{resource}/{host}", Standing())

    def standings(self, resource: str) -> dict[str, Standing]:
        """Return where each destination stands that a round ever went to, by host."""
        keys = (key.split("/", 1) for key in sorted(self._standings))
        return {host: self.standing(resource, host) for name, host in keys if name == resource}

    def notes(self, resource: str) -> tuple[str, ...]:
        """Return what the last capture left out, and why."""
        source = self._sources.get(resource)
        return () if source is None else source.notes()

    async def let_go(self) -> None:
        """Let go of what belongs to resources that have gone, and of connections of no use.

        Where a primary became a shadow, the standings stay: rounds may begin there again.
        """
        instances = self._home.instances
        for resource, source in list(self._sources.items()):
            record = instances.get(resource)
            if (record is None or record.role is not Role.PRIMARY) and source.is_idle:
                del self._sources[resource]
        since = asyncio.get_running_loop().time() - _UNUSED
        for way, connection in list(self._ways.items()):
            source_of = self._sources.get(way[0])
            if source_of is None or (connection.used < since and source_of.is_idle):
                await self._close(way)
        for key in list(self._standings):
            if instances.get(key.split("/", 1)[0]) is None:
                del self._standings[key]
                self._home.store.remove(_KIND, key)

    async def close(self) -> None:
        """Close the connections."""
        for way in list(self._ways):
            await self._close(way)

    async def _one(
        self,
        source: Source,
        resource: str,
        host: Host,
        since: float,
        *,
        dry_run: bool,
        final: bool,
    ) -> Standing:
        before = self.standing(resource, host.name)
        way = (resource, host.name, host.address, host.port)
        try:
            snapshot, sent = await source.send(
                host.name, self._connected(way, host), since=since, dry_run=dry_run, final=final
            )
            after = _after(before, snapshot, sent, pending=dry_run and sent.changed)
        except ForeshadowError as error:
            after = _failed(before, error)
        except OSError as problem:
            after = _failed(before, SyncError(f"the agent cannot keep what it captured: {problem}"))
        except grpc.aio.AioRpcError as call:
            credentials = self._home.credentials
            why = await in_thread(failure, call, host, credentials, _DIAGNOSE_SECONDS)
            after = _failed(before, why)
        if not dry_run:
            self._keep(f"{resource}/{host.name}", after)
        return after

    def _source(self, record: Record) -> Source:
        source = self._sources.get(record.resource)
        if source is None or source.shape != Shape.of(record):
            source = self._sources[record.resource] = Source(self._home, record)
        return source

    @contextlib.asynccontextmanager
    async def _connected(self, way: Way, host: Host) -> AsyncIterator[Destination]:
        """Give the destination at the end of a connection; one that failed is not used again.

        A new connection asks the host itself, when this one would still wait before it does.
        """
        try:
            yield self._destination(way, host)
        except grpc.aio.AioRpcError:
            await self._close(way)
            raise

    def _destination(self, way: Way, host: Host) -> Destination:
        now = asyncio.get_running_loop().time()
        if way not in self._ways:
            channel = open_aio_channel(host, self._home.credentials)
            root = self.standing(way[0], host.name).root or None
            destination = Destination(SyncStub(channel), host.name, root=root)
            self._ways[way] = _Connection(channel, destination, now)
        self._ways[way].used = now
        return self._ways[way].destination

    async def _close(self, way: Way) -> None:
        known = self._ways.pop(way, None)
        if known is not None:
            await known.channel.close()

    def _keep(self, key: str, after: Standing) -> None:
        """Keep a standing; on the disk only what it takes to go on from after a restart."""
        before = self._standings.get(key)
        self._standings[key] = after
        if before is None or before.root != after.root:
            # Forgotten in a power cut, it costs a longer offer.
            self._home.store.put(_KIND, key, asdict(after), durable=False)


def _after(before: Standing, snapshot: Snapshot, sent: Sent, *, pending: bool) -> Standing:
    """Return where a destination stands after a round; ``pending``: the version was not sent."""
    return Standing(
        version=sent.version,
        root=sent.root,
        acknowledged_at=before.acknowledged_at if pending else sent.acknowledged_at,
        captured_at=before.captured_at if pending else snapshot.captured_at,
        changed=sent.changed,
        offered_version=sent.offered_version,
        bytes_sent=sent.bytes_sent,
        files_changed=sent.files_changed,
        profile_changed=sent.profile_changed,
    )


def _failed(before: Standing, error: ForeshadowError) -> Standing:
    return replace(
        before,
        changed=False,
        bytes_sent=0,
        files_changed=0,
        profile_changed=False,
        error=str(error),
        error_code=error.code,
    )
