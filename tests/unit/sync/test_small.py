"""Deltas that go as one message, and patches: what they cost, and what is refused of them."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.sync import encoder, frames, send, small
from foreshadow.sync.durable import remove_tree
from foreshadow.sync.patches.patch import make_patch
from foreshadow.wire.gen.sync_pb2 import (
    Contents,
    OfferReply,
    OfferRequest,
    PushChunk,
    Record,
    Records,
    SmallDelta,
)
from tests.unit.sync.trees import Pair, look

DRAW = random.Random(5)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    for number in range(200):
        lines = [f"key{DRAW.randrange(1000)} = {DRAW.random()}" for _ in range(30)]
        (pair.state / f"f{number:03}").write_text("\n".join(lines))
    (pair.state / "big").write_bytes(DRAW.randbytes(2_000_000))
    return pair


def splice(path: Path, at: int, data: bytes) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:at] + data + content[at:])


async def test_small_changes_are_one_message_of_what_they_are(pair: Pair) -> None:
    await pair.send()
    for number in range(20):
        splice(pair.state / f"f{number * 7:03}", 50, b"new = %d\n" % number)
    pair.link.offers, pair.link.pushed = 0, []
    sent = await pair.send()
    assert (pair.link.offers, pair.link.pushed) == (1, [])
    assert pair.same()
    assert sent.bytes_sent < 900


async def test_touched_files_cost_nothing_each(pair: Pair) -> None:
    await pair.send()
    for path in pair.state.iterdir():
        os.utime(path, ns=(1, 1_234_567_890_123))
    sent = await pair.send()
    assert pair.same()
    assert (sent.files_changed, sent.bytes_sent < 300) == (201, True)


async def test_that_nothing_changed_is_told_by_the_beginning_of_the_root(pair: Pair) -> None:
    first = await pair.send()
    again = await pair.send()
    small = SmallDelta.FromString(pair.link.small)
    assert first.root.startswith(small.start.root.hex())
    assert len(pair.link.small) < 40
    assert (again.changed, again.root, again.version) == (False, first.root, first.version)


@pytest.mark.parametrize("size", [0, 1, 7])
async def test_too_little_of_a_root_names_no_version(pair: Pair, size: int) -> None:
    first = await pair.send()
    start = OfferRequest(version=2, root=bytes.fromhex(first.root)[:size])
    reply = await pair.link.OfferSmall(SmallDelta(start=start), timeout=1.0)
    assert reply.verdict == OfferReply.WRONG_BASE


async def test_an_acknowledgement_of_another_version_is_none(pair: Pair) -> None:
    await pair.send()
    reply = OfferReply(verdict=OfferReply.UNCHANGED, version=1, root=bytes(32))

    async def lie(*_: object, **__: object) -> OfferReply:
        return reply

    pair.link.OfferSmall = lie  # type: ignore[method-assign]
    with pytest.raises(SyncError, match="acknowledges another version"):
        await pair.send()


async def test_the_answer_to_an_older_message_acknowledges_nothing(pair: Pair) -> None:
    await pair.send()
    await pair.send()
    older = pair.link.small
    splice(pair.state / "f000", 50, b"new\n")
    pair.link.small_fault = lambda _: [older]
    with pytest.raises(SyncError, match="acknowledges another version"):
        await pair.send()
    pair.link.small_fault = None
    await pair.send()
    assert pair.same()


async def test_a_spliced_file_travels_as_a_patch(pair: Pair) -> None:
    await pair.send()
    splice(pair.state / "big", 1_000_000, b"inserted")
    (pair.state / "big").rename(pair.state / "moved")
    (pair.state / "big").write_bytes((pair.state / "moved").read_bytes() + b"appended")
    sent = await pair.send()
    assert pair.same()
    assert sent.files_changed == 2
    splice(pair.state / "big", 500_000, b"again")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent < 600


async def test_many_patches_are_pushed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    await pair.send()
    monkeypatch.setattr(small, "MOST_PATCHES", 1000)
    splice(pair.state / "big", 1_000_000, os.urandom(3000))
    sent = await pair.send()
    kinds = [PushChunk.FromString(data).WhichOneof("part") for data in pair.link.pushed]
    assert kinds == ["start", "patch"]
    assert pair.same()
    assert sent.bytes_sent < 5000


async def test_a_patch_that_takes_long_is_waited_for_and_signs_are_given(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    splice(pair.state / "big", 1_000_000, os.urandom(3000))
    monkeypatch.setattr(send, "small_delta", lambda *_, **__: None)
    monkeypatch.setattr(send, "_SIGN", 0.05)
    pair.destination.timeout = 1.0
    real = make_patch

    def slow(*args: object) -> bytes | None:
        time.sleep(pair.destination.timeout * 1.5)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder, "make_patch", slow)
    sent = await pair.send()
    chunks = [PushChunk.FromString(data) for data in pair.link.pushed]
    assert PushChunk(contents=Contents()) in chunks, "a destination that hears nothing gives up"
    assert [c.WhichOneof("part") for c in chunks if c.ByteSize() > 2] == ["start", "patch"]
    assert pair.same()
    assert sent.bytes_sent < 5000


async def test_a_patch_that_does_not_make_the_content_gives_way_to_the_whole(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    monkeypatch.setattr(small, "MOST_PATCHES", 1000)
    splice(pair.state / "big", 1_000_000, os.urandom(3000))

    def spoil(chunks: list[bytes]) -> list[bytes]:
        chunk = PushChunk.FromString(chunks[1])
        chunk.patch.data = chunk.patch.data[:-1] + bytes([chunk.patch.data[-1] ^ 1])
        return [chunks[0], chunk.SerializeToString()]

    pair.link.push_fault = spoil
    with pytest.raises(SyncError):
        await pair.send()
    assert look(pair.version.resolve()) == before
    pair.link.push_fault = None
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent > 2_000_000, "the patch could be wrong at its source"


async def test_a_source_that_lost_the_old_content_sends_the_whole(pair: Pair) -> None:
    await pair.send()
    remove_tree(pair.folder / "source/contents")
    splice(pair.state / "big", 1_000_000, b"inserted")
    splice(pair.state / "f000", 10, b"inserted")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent > 2_000_000


async def test_a_destination_that_lost_the_old_content_gets_the_whole(pair: Pair) -> None:
    await pair.send()
    (pair.version / "big").write_bytes(b"by hand")
    (pair.version / "f000").write_bytes(b"by hand")
    splice(pair.state / "big", 1_000_000, b"inserted")
    splice(pair.state / "f000", 10, b"inserted")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent > 2_000_000


@pytest.mark.parametrize("final", [False, True])
async def test_what_a_delta_does_not_bring_is_asked_for(pair: Pair, final: bool) -> None:
    await pair.send()
    (pair.version / "big").write_bytes(b"by hand")
    splice(pair.state / "f000", 10, b"inserted")
    sent = await pair.send(final=final)
    assert pair.same()
    assert sent.files_changed == 2
    kinds = {PushChunk.FromString(data).WhichOneof("part") for data in pair.link.pushed}
    assert kinds == {"start", "contents"}, "only what was lost, which does not compress"


async def test_a_delta_larger_than_a_message_is_offered_first(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    monkeypatch.setattr(small, "_MOST_MESSAGE", 1000)
    splice(pair.state / "big", 1_000_000, os.urandom(3000))
    pair.link.small = b""
    await pair.send()
    assert pair.same()
    assert pair.link.small == b"", "its patch counts too"


async def test_a_delta_is_made_once_for_all_destinations(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Pair(tmp_path / "other")
    made: list[object] = []
    real = make_patch

    def noted(*args: object) -> bytes | None:
        made.append(args)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder, "make_patch", noted)
    ways = [pair.destination, other.destination]
    for _ in range(2):
        snapshot = pair.snapshot()
        for pair.destination in ways:
            await pair.send(snapshot)
        splice(pair.state / "big", 1_000_000, b"inserted")
    snapshot = pair.snapshot()
    for pair.destination in ways:
        await pair.send(snapshot)
    assert len(made) == 2
    assert pair.same()
    assert look(pair.state) == look(other.version.resolve())


def record(**values: object) -> Callable[[SmallDelta], None]:
    def put(delta: SmallDelta) -> None:
        delta.records = pack(Records(upserts=[Record(**values)]))  # type: ignore[arg-type]
        delta.contents = b""

    return put


def pack(records: Records) -> bytes:
    return frames.squeezed(records.SerializeToString(), 3)


def put_contents(data: bytes) -> Callable[[SmallDelta], None]:
    def put(delta: SmallDelta) -> None:
        delta.contents = data

    return put


HOSTILE = {
    "a climbing path": record(path=b"../f", kind="file", mode=0o600, brought=0),
    "an absolute path": record(path=b"/etc/f", kind="file", mode=0o600, brought=0),
    "a setuid mode": record(path=b"f", kind="file", mode=0o4755, brought=0),
    "a device": record(path=b"f", kind="device", mode=0o600),
    "a link out": record(path=b"l", kind="symlink", mode=0o777, target=b"../../x"),
    "no kind": record(path=b"f", mode=0o600),
    "no path": record(kind="file", mode=0o600, brought=0),
    "no content": record(path=b"f", kind="file", mode=0o600),
    "a place outside": record(step=10_000, brought=0),
    "a source outside": record(path=b"f", kind="file", mode=0o600, moved=10_000),
    "a patch on nothing": record(path=b"f", kind="file", mode=0o600, patched={"size": 5}),
    "a missing patch": record(step=1, patched={"size": 5, "digest": bytes(32)}),
    "more contents than any": record(step=1, brought=2**40),
    "a huge patched size": record(step=1, patched={"size": 2**62, "digest": bytes(32)}),
    "a removal outside": lambda d: setattr(d, "records", pack(Records(removals=[99_999]))),
    "a bomb of records": lambda d: setattr(d, "records", frames.squeezed(bytes(2**28), 3)),
    "a bomb of contents": put_contents(frames.squeezed(bytes(2**28), 3)),
    "no frame": put_contents(b"not a frame"),
    "half a frame": lambda d: setattr(d, "contents", d.contents[:-2]),
    "two frames": lambda d: setattr(d, "contents", d.contents * 2),
    "a patch too many": lambda d: d.patches.append(b"x"),
    "another base": lambda d: setattr(d.start, "base_root", bytes(32)),
    "another root": lambda d: setattr(d.start, "root", bytes(32)),
    "a number of the past": lambda d: setattr(d.start, "version", 1),
    "a negative number": lambda d: setattr(d.start, "version", -1),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_delta_is_refused_whole(pair: Pair, what: str) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    splice(pair.state / "f000", 10, b"inserted")
    replies: list[OfferReply] = []
    real = pair.link.OfferSmall

    async def kept(delta: SmallDelta, timeout: float) -> OfferReply:
        replies.append(await real(delta, timeout))
        assert look(pair.version.resolve()) == before
        return replies[-1]

    def spoil(parts: list[bytes]) -> list[bytes]:
        delta = SmallDelta.FromString(parts[0])
        HOSTILE[what](delta)
        return [delta.SerializeToString()]

    pair.link.OfferSmall = kept  # type: ignore[method-assign]
    pair.link.small_fault = spoil
    await pair.send()
    assert replies[0].verdict == OfferReply.WRONG_BASE
    assert pair.same(), "it was offered anew in the same round"
