"""Trees to sync, and an independent look at them; the wire in between, with faults on demand."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from foreshadow.domain.clock import WallTime
from foreshadow.domain.protocols import Capture, Scene
from foreshadow.domain.spec import ServiceSpec
from foreshadow.sync.encoder import Encoder
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.history import History
from foreshadow.sync.intake import OfferIntake, PushIntake, offer_reply, take_small
from foreshadow.sync.pace import Pace
from foreshadow.sync.profile import ProfileCapture
from foreshadow.sync.receive import Receiver
from foreshadow.sync.send import Destination, Sender, Sent
from foreshadow.sync.snapshot import Photographer, Snapshot
from foreshadow.sync.versions import Versions
from foreshadow.wire.gen.agent_pb2 import Fence
from foreshadow.wire.gen.sync_pb2 import OfferPart, OfferReply, PushChunk, PushReply, SmallDelta

Seen = dict[str, tuple[str, int, int, bytes]]


def look(root: Path) -> Seen:
    """Return what a tree holds, by path: kind, mode, mtime of files, and content or target."""
    seen: Seen = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                row = ("link", 0, 0, os.fsencode(path.readlink()))
            elif stat.S_ISDIR(status.st_mode):
                row = ("directory", mode, 0, b"")
            else:
                row = ("file", mode, status.st_mtime_ns, path.read_bytes())
            seen[str(path.relative_to(root))] = row
    return seen


def scene(state: Path, *, shared: bool = True, profile: Any = None) -> Scene:
    service = ServiceSpec.model_validate(
        {"command": ["/bin/true"], "port": 1, **({"profile": profile} if profile else {})}
    )
    return Scene(state, {"address": "127.0.0.1", "port": "1"}, service, shared, state)


Fault = Callable[[list[bytes]], Iterable[bytes]]


class CutError(Exception):
    """The connection went away."""


class Link:
    """The stub that a sender calls, with a receiver behind it and bytes in between."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.offer_fault: Fault | None = None
        self.small_fault: Fault | None = None
        self.push_fault: Fault | None = None
        self.small = b""
        self.pushed: list[bytes] = []
        self.offers = 0
        self.now = WallTime(1000.0)

    async def Offer(self, parts: Iterator[OfferPart], timeout: float) -> OfferReply:  # noqa: N802
        self.offers += 1
        intake = OfferIntake()
        sent = [part.SerializeToString() for part in parts]
        for data in self.offer_fault(sent) if self.offer_fault else sent:
            intake.feed(_parsed(OfferPart, data))
        offer = intake.finish()
        reply = offer_reply(self.receiver.offer(offer), self.now)
        return OfferReply.FromString(reply.SerializeToString())

    async def OfferSmall(self, delta: SmallDelta, timeout: float) -> OfferReply:  # noqa: N802
        self.offers += 1
        self.small = data = delta.SerializeToString()
        if self.small_fault:
            data = b"".join(self.small_fault([data]))
        reply = take_small(self.receiver, _parsed(SmallDelta, data), lambda: self.now)
        return OfferReply.FromString(reply.SerializeToString())

    async def Push(self, chunks: AsyncIterator[PushChunk]) -> PushReply:  # noqa: N802
        self.pushed = [chunk.SerializeToString() async for chunk in chunks]
        return self.deliver(self.push_fault(self.pushed) if self.push_fault else self.pushed)

    def deliver(self, messages: Iterable[bytes]) -> PushReply:
        first, *rest = messages
        intake = PushIntake(self.receiver, _parsed(PushChunk, first).start)
        for data in rest:
            intake.feed(_parsed(PushChunk, data))
        return intake.finish(self.now)


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise CutError from error


class Pair:
    """A source with a state directory, and a destination."""

    def __init__(self, folder: Path, options: dict[str, Any] | None = None) -> None:
        self.state = folder / "live"
        self.state.mkdir(parents=True)
        self.folder = folder
        self.shadow = folder / "shadow"
        self.shadow.mkdir()
        self.captures: list[Capture] = [FilesCapture(options or {}), ProfileCapture({})]
        self.restart_source()
        self.link = Link(Receiver(self.shadow))
        self.destination = Destination(self.link, "edge-b")  # type: ignore[arg-type]
        self.at = 1.0

    def restart_source(self) -> None:
        folder = self.folder / "source"
        self.photographer = Photographer(folder, self.captures[:1])
        versions = Versions(self.folder)
        self.history = History(folder / "manifest.json", versions.kept())
        self.encoder = Encoder(self.photographer.outbox, versions)

    def restart_destination(self) -> None:
        self.link.receiver = Receiver(self.shadow)

    def snapshot(self, *, still: bool = False) -> Snapshot:
        self.at += 1
        keep = self.history.contents()
        return self.photographer.take(scene(self.state), WallTime(self.at), still=still, keep=keep)

    async def send(self, snapshot: Snapshot | None = None, **options: Any) -> Sent:
        fence = Fence(resource="checkout", token=1)
        sender = Sender("edge-a", fence, self.history, Pace(None), self.encoder)
        return await sender.send(snapshot or self.snapshot(), self.destination, **options)

    @property
    def version(self) -> Path:
        return self.shadow / "current"

    def same(self) -> bool:
        return look(self.state) == look(self.version.resolve())
