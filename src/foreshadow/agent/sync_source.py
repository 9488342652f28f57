"""The source side of one resource on the agent of its primary: snapshots, and rounds from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from foreshadow.agent.home import AgentHome
from foreshadow.agent.records import Record
from foreshadow.agent.scope import Scope
from foreshadow.agent.threads import in_thread
from foreshadow.domain.protocols import Scene
from foreshadow.domain.spec import StateSpec
from foreshadow.sync.captures import load_captures
from foreshadow.sync.durable import remove_tree
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.history import History
from foreshadow.sync.pace import Pace
from foreshadow.sync.send import Destination, Sender, Sent
from foreshadow.sync.snapshot import Photographer, Snapshot
from foreshadow.sync.versions import Versions
from foreshadow.wire.gen.agent_pb2 import Fence


class Shape(NamedTuple):
    """What a source is built from: when it differs, a new one is built.

    :ivar version: that the host had applied when it became the primary.
    """

    state: tuple[StateSpec, ...]
    bandwidth: int | None
    version: int

    @classmethod
    def of(cls, record: Record) -> Shape:
        """Return the shape of an instance."""
        sync = record.spec.sync
        return cls(record.spec.state, sync.bandwidth, record.layout.version())


class Source:
    """Takes snapshots of a primary's state and brings destinations to them.

    Rounds to several destinations that are asked for together share one snapshot; at most one
    round is under way to each.

    :raises SpecError: when a kind of state is not known, or its options are wrong.
    """

    def __init__(self, home: AgentHome, record: Record) -> None:
        self.shape = Shape.of(record)
        self._home = home
        self._resource = record.resource
        folder = record.layout.folder / "outgoing"
        self._scratch = folder / "scratch"
        self._photographer = Photographer(folder, load_captures(record.spec.state))
        versions = Versions(record.layout.folder)
        self._history = History(folder / "manifest.json", versions.kept())
        self._encoder = Encoder(self._photographer.outbox, versions)
        self._pace = Pace(record.spec.sync.bandwidth or None)
        self._taking = asyncio.Lock()
        self._sending: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._begun = float("-inf")
        self._latest: Snapshot | None = None
        self._swept = False

    async def send(
        self,
        host: str,
        connection: AbstractAsyncContextManager[Destination],
        *,
        since: float,
        dry_run: bool,
        final: bool = False,
    ) -> tuple[Snapshot, Sent]:
        """Bring one destination to a snapshot that was begun at ``since`` or later.

        :param connection: entered when the turn of this round to the host has come.
        :param since: time of the event loop.
        :raises ForeshadowError: when the state cannot be captured, or the destination refuses it.
        :raises grpc.RpcError: what the call itself failed with.
        """
        async with (
            self._sending[host],
            self._snapshot(since, still=final) as snapshot,
            connection as destination,
        ):
            fence = Fence(resource=self._resource, token=self._home.fences.newest(self._resource))
            sender = Sender(self._home.host, fence, self._history, self._pace, self._encoder)
            return snapshot, await sender.send(snapshot, destination, dry_run=dry_run, final=final)

    @property
    def is_idle(self) -> bool:
        """Whether no round is under way."""
        return not any(sending.locked() for sending in self._sending.values())

    def notes(self) -> tuple[str, ...]:
        """Return what the last snapshot left out, and why."""
        return () if self._latest is None else self._latest.notes

    @contextlib.asynccontextmanager
    async def _snapshot(self, since: float, *, still: bool) -> AsyncIterator[Snapshot]:
        async with self._taking:
            if self._latest is None or self._begun < since:
                begun = asyncio.get_running_loop().time()
                self._latest = await in_thread(self._take, still=still)
                self._begun = begun
            latest = self._latest
            held = contextlib.ExitStack()
            held.enter_context(self._photographer.hold(latest))
        with held:
            yield latest

    def _take(self, *, still: bool) -> Snapshot:
        record = self._home.instances.need(self._resource)
        if not self._swept:
            remove_tree(self._scratch)
            self._swept = True
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        scope = Scope(record, self._home)
        scene = Scene(
            state=record.live.resolve(),
            values=scope.values(),
            service=record.spec.service,
            shared_machine=self._home.shared_machine,
            scratch=self._scratch,
            thorough=still,
            popen=scope.popen,
        )
        keep = self._history.contents()
        return self._photographer.take(scene, self._home.now(), still=still, keep=keep)
