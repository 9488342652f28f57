"""The messages of a round as they arrive at the destination, in the order that the wire has."""

from __future__ import annotations

from collections.abc import Iterable

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.sync.entries import Limits
from foreshadow.sync.messages import offer_of
from foreshadow.sync.receive import Answer, Offer, Receiver, Verdict
from foreshadow.sync.stored import Version
from foreshadow.wire.gen.sync_pb2 import (
    Contents,
    Entries,
    OfferPart,
    OfferReply,
    OfferRequest,
    PushChunk,
    PushReply,
    PushStart,
    Want,
)

_MOST_BYTES = 256 * 2**20
"""Of an offer's parts together: more than as many paths as a version may have ever take."""


class OfferIntake:
    """Collects the parts of one offer, within the limits."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limit = (limits or Limits()).entries
        self._bytes = _MOST_BYTES
        self._parts: list[Entries] = []
        self._contents: Contents | None = None
        self.start: OfferRequest | None = None

    def feed(self, part: OfferPart) -> None:
        """Take the next part.

        :raises SyncError: when it is out of order, or there are too many entries.
        """
        kind = part.WhichOneof("part")
        if (kind == "start") != (self.start is None) or self._contents is not None:
            raise SyncError("its parts are out of order", where="offer")
        if self.start is None:
            self.start = part.start
            return
        if kind == "contents":
            self._contents = part.contents
            return
        self._limit -= len(part.entries.upserts) + len(part.entries.removals)
        if self._limit < 0:
            raise SyncError("it names more paths than a version may have", where="offer")
        self._bytes -= part.ByteSize()
        if self._bytes < 0:
            raise SyncError("its parts are larger than those of any version", where="offer")
        self._parts.append(part.entries)

    def finish(self) -> Offer:
        """Return the offer.

        :raises SyncError: when nothing came.
        """
        if self.start is None:
            raise SyncError("it is empty", where="offer")
        return offer_of(self.start, self._parts)

    def bring(self, receiver: Receiver, answer: Answer) -> bool:
        """Give a receiver the contents that came along; return whether it lacks nothing now.

        What it did not ask for is left out: it has that already. Blocks.

        :raises SyncError: when a content is refused.
        """
        if self.start is None or answer.verdict is not Verdict.SEND:
            return False
        wants = dict(answer.wants)
        for chunk in self._contents.chunks if self._contents is not None else ():
            digest = chunk.digest.hex()
            if wants.get(digest) == 0 == chunk.offset:
                receiver.take(self.start.root, digest, 0, chunk.data)
                del wants[digest]
        return not wants


class PushIntake:
    """Feeds the chunks of one push to a receiver. Blocks."""

    def __init__(self, receiver: Receiver, start: PushStart) -> None:
        self._receiver = receiver
        self._root = start.root

    def feed(self, chunk: PushChunk) -> None:
        """Take the next chunk.

        :raises SyncError: when it is out of order, or its content is refused.
        """
        if chunk.WhichOneof("part") != "contents":
            raise SyncError("its parts are out of order", where="push")
        for part in chunk.contents.chunks:
            self._receiver.take(self._root, part.digest.hex(), part.offset, part.data)

    def finish(self, now: WallTime) -> PushReply:
        """Commit the version and return the acknowledgement.

        :raises SyncError: when it cannot be committed.
        """
        version, files_changed = self._receiver.commit(self._root)
        return PushReply(
            version=version.number,
            root=version.root,
            acknowledged_at=now,
            files_changed=files_changed,
        )


def offer_reply(answer: Answer, now: WallTime) -> OfferReply:
    """Return the answer to an offer as a message."""
    return OfferReply(
        verdict=OfferReply.Verdict.ValueType(answer.verdict.value),
        wants=_wants(answer.wants.items()),
        version=answer.number,
        root=answer.root,
        acknowledged_at=now,
        files_changed=answer.files_changed,
        profile_changed=answer.profile_changed,
    )


def applied_reply(
    version: Version, files_changed: int, answer: Answer, now: WallTime
) -> OfferReply:
    """Return the answer to an offer whose version was committed with it, as a message."""
    return OfferReply(
        verdict=OfferReply.APPLIED,
        version=version.number,
        root=version.root,
        acknowledged_at=now,
        files_changed=files_changed,
        profile_changed=answer.profile_changed,
    )


def _wants(wants: Iterable[tuple[str, int]]) -> list[Want]:
    return [Want(digest=bytes.fromhex(digest), offset=offset) for digest, offset in wants]
