"""Messages of a hostile source, for ten minutes: refused or right, never a crash, never half of it.

Each message begins as a real one and is spoilt: bytes, fields, or what is inside of its frames,
which are then compressed again so that the spoilt part is reached. ``FUZZ_SECONDS`` takes less.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.sync.durable import remove_tree
from foreshadow.sync.frames import opened, squeezed
from foreshadow.sync.intake import OfferIntake, PushIntake, take_small
from foreshadow.sync.patches.patch import make_patch, patched
from foreshadow.sync.receive import Receiver
from foreshadow.wire.gen.sync_pb2 import (
    Contents,
    Entries,
    OfferPart,
    PushChunk,
    Records,
    SmallDelta,
)
from tests.support.spans import InMemory
from tests.unit.sync.trees import Pair, look

SECONDS = float(os.environ.get("FUZZ_SECONDS", "600"))
SEED = int(os.environ.get("FUZZ_SEED", "0")) or time.time_ns()
MOST = 2**24

pytestmark = pytest.mark.timeout(SECONDS * 2 + 300)

Spoiler = Callable[[random.Random, bytes], bytes]


class Recorded:
    """A shadow at one version, and the messages that bring it to the next in either way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pair = Pair(folder)
        draw = random.Random(3)
        for number in range(6):
            (self.pair.state / f"f{number}").write_bytes(draw.randbytes(200 + number) * 2)
        (self.pair.state / "d").mkdir()
        (self.pair.state / "d/big").write_bytes(draw.randbytes(80_000))
        (self.pair.state / "l").symlink_to("d/big")
        self._set_times(1)
        asyncio.run(self.pair.send())
        self.before = look(self.pair.version.resolve())
        self._change(draw)
        self._set_times(2)
        self.after = look(self.pair.state)
        self.base = self.pair.history.newest
        self.snapshot = self.pair.snapshot()

    def _change(self, draw: random.Random) -> None:
        state = self.pair.state
        big = (state / "d/big").read_bytes()
        (state / "d/big").write_bytes(big[:5000] + draw.randbytes(900) + big[5100:])
        (state / "f1").write_bytes((state / "f1").read_bytes() + b"more")
        (state / "f2").rename(state / "g2")
        (state / "f3").unlink()
        (state / "f4").chmod(0o600)
        (state / "new").write_bytes(b"new" * 50)

    def _set_times(self, seconds: int) -> None:
        """Set the times of all files, so that each shadow is at the same version."""
        for path in self.pair.state.rglob("*"):
            if not path.is_symlink():
                os.utime(path, ns=(seconds * 10**9, seconds * 10**9))

    def messages(self) -> tuple[bytes, list[bytes], list[bytes]]:
        """Return the small delta, the parts of the offer, and the chunks of the push."""
        offers: list[bytes] = []
        link = self.pair.link

        def kept(parts: list[bytes]) -> list[bytes]:
            offers[:] = parts
            return parts

        link.small_fault = lambda parts: [_without_records(parts[0])]
        link.offer_fault = kept
        asyncio.run(self.pair.send(self.snapshot))
        return link.small, offers, link.pushed


def _without_records(data: bytes) -> bytes:
    delta = SmallDelta.FromString(data)
    delta.records = b"spoilt, so that it is offered"
    return delta.SerializeToString()


def flipped(draw: random.Random, data: bytes) -> bytes:
    out = bytearray(data or b"\0")
    for _ in range(draw.choice([1, 1, 2, 8])):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def grown(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice([draw.randbytes(9), bytes(3000), data]) + data[at:]


def extreme(draw: random.Random, data: bytes) -> bytes:
    """Put the largest numbers that a message can hold somewhere."""
    at = draw.randrange(len(data) + 1)
    return (
        data[:at]
        + draw.choice([b"\xff" * 9 + b"\x01", b"\xff" * 4 + b"\x0f", b"\x00"])
        + data[at + 1 :]
    )


SPOILERS: list[Spoiler] = [flipped, cut, grown, extreme]


def spoilt(draw: random.Random, data: bytes) -> bytes:
    return draw.choice(SPOILERS)(draw, data)


def spoilt_fields(draw: random.Random, message: Message) -> None:
    """Change numbers and bytes of a message, at any depth."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = draw.choice(fields)
    if field.message_type is not None:
        spoilt_fields(draw, draw.choice(value) if field.is_repeated else value)
    elif field.is_repeated:
        value.append(draw.choice(list(value)))
    elif isinstance(value, bytes):
        setattr(message, field.name, spoilt(draw, value))
    elif isinstance(value, int) and not isinstance(value, bool):
        for number in (draw.choice([0, 1, value + 1, 2**31, 2**62, -1, -(2**62)]), 1):
            try:
                setattr(message, field.name, number)
            except ValueError:
                continue
            return


def inside(draw: random.Random, frame: bytes, kind: type[Any], beside: bytes = b"") -> bytes:
    """Spoil what a frame holds, and compress it again."""
    message = kind.FromString(opened(frame, MOST, beside))
    spoilt_fields(draw, message)
    return squeezed(message.SerializeToString(), 1)


def spoil_small(draw: random.Random, data: bytes) -> bytes:
    delta = SmallDelta.FromString(data)
    match draw.randrange(5):
        case 0:
            return spoilt(draw, data)
        case 1:
            delta.records = inside(draw, delta.records, Records)
        case 2:
            delta.contents = spoilt(draw, delta.contents)
        case 3:
            delta.patches[0] = spoilt(draw, delta.patches[0])
        case _:
            spoilt_fields(draw, delta)
    return delta.SerializeToString()


def spoil_stream(draw: random.Random, parts: list[bytes], kind: type[Any]) -> list[bytes]:
    parts = list(parts)
    at = draw.randrange(len(parts))
    match draw.randrange(6):
        case 0:
            parts[at] = spoilt(draw, parts[at])
        case 1:
            del parts[at]
        case 2:
            parts.insert(draw.randrange(len(parts) + 1), parts[at])
        case 3:
            draw.shuffle(parts)
        case 4:
            part = kind.FromString(parts[at])
            spoilt_fields(draw, part)
            parts[at] = part.SerializeToString()
        case _:
            part = kind.FromString(parts[at])
            if part.WhichOneof("part") == "entries":
                part.entries = inside(draw, part.entries, Entries)
            elif part.WhichOneof("part") == "packed":
                part.packed = inside(draw, part.packed, Contents)
            parts[at] = part.SerializeToString()
    return parts


def test_no_spoilt_message_leaves_anything_but_one_version_or_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    draw = random.Random(SEED)
    print(f"FUZZ_SEED={SEED}")
    deadline = time.monotonic() + SECONDS
    tried = refused = moved = 0
    small_delta, offers, pushed = b"", [b""], [b""]
    while time.monotonic() < deadline:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            recorded = Recorded(folder / "a")
            if not small_delta:
                other = Recorded(folder / "b")
                assert other.snapshot.entries != other.base.entries
                small_delta, offers, pushed = other.messages()
                assert look(other.pair.version.resolve()) == other.after
                whole = Recorded(folder / "c")
                take_small(
                    whole.pair.link.receiver,
                    SmallDelta.FromString(small_delta),
                    lambda: WallTime(1.0),
                )
                assert look(whole.pair.version.resolve()) == whole.after, "it is a real one"
            for _ in range(200):
                if time.monotonic() > deadline:
                    break
                tried += 1
                if _play(draw, recorded, small_delta, offers, pushed):
                    moved += 1
                    break
                refused += 1
        finally:
            remove_tree(folder)
    print(f"{tried} tried, {refused} refused, {moved} right all the same")
    assert tried > 50
    assert refused > tried / 2


def _play(
    draw: random.Random,
    recorded: Recorded,
    small_delta: bytes,
    offers: list[bytes],
    pushed: list[bytes],
) -> bool:
    """Send one spoilt round; return whether the shadow moved on, as it may to the real version."""
    receiver = recorded.pair.link.receiver
    state = draw.getstate()
    try:
        if draw.random() < 0.5:
            delta = SmallDelta.FromString(spoil_small(draw, small_delta))
            take_small(receiver, delta, lambda: WallTime(1.0))
        else:
            _stream(draw, receiver, offers, pushed)
    except (SyncError, DecodeError):
        pass
    except BaseException:
        print(f"state of the draw: {hash(state)}")
        raise
    seen = look(recorded.pair.version.resolve())
    moved = seen != recorded.before
    assert not moved or seen == recorded.after, "something else became visible"
    outside = {path.name for path in recorded.folder.iterdir()}
    assert outside == {"live", "shadow", "source"}
    return moved


def _stream(
    draw: random.Random, receiver: Receiver, offers: list[bytes], pushed: list[bytes]
) -> None:
    if draw.random() < 0.5:
        offers = spoil_stream(draw, offers, OfferPart)
    else:
        pushed = spoil_stream(draw, pushed, PushChunk)
    intake = OfferIntake()
    for data in offers:
        intake.feed(OfferPart.FromString(data))
    receiver.offer(intake.finish())
    push = None
    for data in pushed:
        chunk = PushChunk.FromString(data)
        if push is None:
            push = PushIntake(receiver, chunk.start)
        else:
            push.feed(chunk)
    if push is not None:
        push.finish(WallTime(1.0))


def test_no_spoilt_patch_crashes_or_makes_more_than_it_may() -> None:
    draw = random.Random(SEED)
    old = draw.randbytes(50_000)
    new = old[:7000] + draw.randbytes(2000) + old[9000:40_000] + old[100:900]
    patch = make_patch(InMemory(old), InMemory(new))
    assert patch is not None
    deadline = time.monotonic() + SECONDS / 10
    while time.monotonic() < deadline:
        made = 0
        try:
            for data in patched(spoilt(draw, patch), InMemory(old), len(new)):
                made += len(data)
        except SyncError:
            pass
        assert made <= len(new)
