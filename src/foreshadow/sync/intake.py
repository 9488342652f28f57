"""The messages of a round as they arrive at the destination, in the order that the wire has."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.sync.entries import Limits
from foreshadow.sync.frames import opened
from foreshadow.sync.messages import TOLD, delta_of, offer_of
from foreshadow.sync.offers import Answer, Offer, Verdict, Wanted
from foreshadow.sync.receive import Receiver
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
    SmallDelta,
    Want,
)

Parsed = TypeVar("Parsed", bound=Message)

_MOST_BYTES = 256 * 2**20
"""Of an offer's parts together: more than as many paths as a version may have ever take."""
_MOST_PART = 16 * 2**20
"""Of one part, decompressed."""
_MOST_CONTENTS = 4 * 2**20
"""Of the contents in one message of a push, decompressed."""


class OfferIntake:
    """Collects the parts of one offer, within the limits."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limit = (limits or Limits()).entries
        self._bytes = _MOST_BYTES
        self._parts: list[Entries] = []
        self.start: OfferRequest | None = None

    def feed(self, part: OfferPart) -> None:
        """Take the next part.

        :raises SyncError: when it is out of order, or there are too many entries.
        """
        kind = part.WhichOneof("part")
        if (kind == "start") != (self.start is None):
            raise SyncError("its parts are out of order", where="offer")
        if self.start is None:
            self.start = part.start
            return
        plain = opened(part.entries, min(_MOST_PART, self._bytes))
        self._bytes -= len(plain)
        entries = parsed(Entries, plain)
        self._limit -= len(entries.upserts) + len(entries.removals)
        if self._limit < 0:
            raise SyncError("it names more paths than a version may have", where="offer")
        self._parts.append(entries)

    def finish(self) -> Offer:
        """Return the offer.

        :raises SyncError: when nothing came.
        """
        if self.start is None:
            raise SyncError("it is empty", where="offer")
        return offer_of(self.start, delta_of(self._parts))


def take_small(receiver: Receiver, small: SmallDelta, now: WallClock) -> OfferReply:
    """Answer a small delta. Blocks.

    When it fits, it is committed at once, or what it did not bring is asked for; else the source
    offers it anew.

    :raises SyncError: when it fits and the version cannot be committed all the same.
    """
    try:
        unpacked = receiver.unpack(small)
        offer = offer_of(small.start, unpacked.delta)
        offer = replace(offer, base_root=unpacked.base_root)
        if not small.records:
            offer = replace(offer, root=unpacked.base_root)
        answer = receiver.offer(offer)
        opened = answer.verdict is Verdict.SEND and not offer.dry_run
        if opened:
            answer = replace(answer, wants=receiver.bring(offer.root, answer.wants, unpacked))
    except SyncError:
        return offer_reply(receiver.refused(), now())
    if opened and not answer.wants:
        version, changed = receiver.commit(offer.root)
        return applied_reply(version, changed, answer, now())
    return offer_reply(answer, now())


class PushIntake:
    """Feeds the chunks of one push to a receiver. Blocks."""

    def __init__(self, receiver: Receiver, start: PushStart) -> None:
        self._receiver = receiver
        self._root = start.root.hex()

    def feed(self, chunk: PushChunk) -> None:
        """Take the next chunk.

        :raises SyncError: when it is out of order, or its content is refused.
        """
        match chunk.WhichOneof("part"):
            case "contents":
                self._take(chunk.contents)
            case "packed":
                self._take(parsed(Contents, opened(chunk.packed, _MOST_CONTENTS)))
            case "patch":
                part = chunk.patch
                self._receiver.take_patch(
                    self._root, part.place, part.base.hex(), part.size, part.data
                )
            case _:
                raise SyncError("its parts are out of order", where="push")

    def finish(self, now: WallTime) -> PushReply:
        """Commit the version and return the acknowledgement.

        :raises SyncError: when it cannot be committed.
        """
        version, files_changed = self._receiver.commit(self._root)
        return PushReply(
            version=version.number,
            root=bytes.fromhex(version.root),
            acknowledged_at=now,
            files_changed=files_changed,
        )

    def _take(self, contents: Contents) -> None:
        for part in contents.chunks:
            self._receiver.take(self._root, part.place, part.offset, part.data)


def parsed(kind: type[Parsed], data: bytes) -> Parsed:
    """Return the message in bytes.

    :raises SyncError: when it is none.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise SyncError("a message in it cannot be read", where="state that was sent") from None


def offer_reply(answer: Answer, now: WallTime) -> OfferReply:
    """Return the answer to an offer as a message."""
    root = bytes.fromhex(answer.root)
    return OfferReply(
        verdict=OfferReply.Verdict.ValueType(answer.verdict.value),
        wants=map(_want, answer.wants),
        version=answer.number,
        root=root[:TOLD] if answer.verdict is Verdict.UNCHANGED else root,
        acknowledged_at=now,
        files_changed=answer.files_changed,
        profile_changed=answer.profile_changed,
    )


def applied_reply(version: Version, changed: int, answer: Answer, now: WallTime) -> OfferReply:
    """Return the acknowledgement of a small delta that was committed."""
    return OfferReply(
        verdict=OfferReply.APPLIED,
        version=version.number,
        root=bytes.fromhex(version.root)[:TOLD],
        acknowledged_at=now,
        files_changed=changed,
        profile_changed=answer.profile_changed,
    )


def _want(want: Wanted) -> Want:
    return Want(place=want.place, offset=want.offset, base=bytes.fromhex(want.base))
