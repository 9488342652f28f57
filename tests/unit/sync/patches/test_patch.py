"""Patches: whatever the two contents are, the new one comes out; a hostile patch is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.domain.errors import SyncError
from foreshadow.sync.patches import chunks
from foreshadow.sync.patches import patch as patches
from foreshadow.sync.patches.copies import Copies
from foreshadow.sync.patches.patch import make_patch, patched
from foreshadow.sync.patches.spans import InFile
from foreshadow.wire.gen.sync_pb2 import Patch, Program
from tests.support.spans import InMemory

KIB = 1024
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "cut", "move", "append", "repeat", "zeros"]),
        st.floats(0, 1),
        st.floats(0, 1),
        st.sampled_from([1, 7, 100, 4096, 40_000, 200_000]),
        st.integers(0, 2**32),
    ),
    max_size=8,
)
BASES = st.tuples(
    st.sampled_from(["random", "text", "zeros", "pattern"]),
    st.sampled_from([0, 1, 11, 1000, 4096, 70_000, 300_000]),
    st.integers(0, 2**32),
)


def content(kind: str, size: int, seed: int) -> bytes:
    """Return bytes of one kind."""
    rng = random.Random(seed)
    match kind:
        case "random":
            return rng.randbytes(size)
        case "zeros":
            return bytes(size)
        case "pattern":
            return (rng.randbytes(37) * (size // 37 + 1))[:size]
        case _:
            parts = bytearray()
            while len(parts) < size:
                parts += b'{"key": %d, "word": "%f"}\n' % (rng.randrange(10**6), rng.random())
            return bytes(parts[:size])


def edited(data: bytes, edits: list[tuple[str, float, float, int, int]]) -> bytes:
    """Return the content after edits."""
    for kind, where, other, size, seed in edits:
        at, to = int(where * len(data)), int(other * len(data))
        fresh = random.Random(seed).randbytes(size)
        match kind:
            case "overwrite":
                data = data[:at] + fresh[: len(data) - at] + data[at + size :]
            case "insert":
                data = data[:at] + fresh + data[at:]
            case "cut":
                data = data[:at] + data[at + size :]
            case "move":
                rest = data[:at] + data[at + size :]
                data = rest[:to] + data[at : at + size] + rest[to:]
            case "append":
                data += fresh
            case "repeat":
                data = data[:at] + data[at : at + size] * 2 + data[at + size :]
            case _:
                data = data[:at] + bytes(size) + data[at + size :]
    return data


def applied(patch: bytes, old: bytes, size: int) -> bytes:
    """Return what a patch makes of a content."""
    return b"".join(patched(patch, InMemory(old), size))


@settings(max_examples=150, deadline=None)
@given(BASES, EDITS)
def test_the_new_content_comes_out(
    base: tuple[str, int, int], edits: list[tuple[str, float, float, int, int]]
) -> None:
    old = content(*base)
    new = edited(old, edits)
    patch = make_patch(InMemory(old), InMemory(new))
    if patch is not None:
        assert applied(patch, old, len(new)) == new


@pytest.mark.parametrize(
    ("edits", "most"),
    [
        ([("overwrite", 0.3, 0, 4096, 1), ("overwrite", 0.7, 0, 100, 2)], 4096 + 100 + 80),
        ([("insert", 0.1, 0, 100, 1), ("cut", 0.6, 0, 4096, 2), ("insert", 0.9, 0, 7, 3)], 250),
        ([("move", 0.2, 0.8, 200_000, 1)], 200),
        ([("append", 0, 0, 40_000, 1)], 40_000 + 80),
        ([], 60),
    ],
)
def test_little_more_is_sent_than_what_is_new(
    edits: list[tuple[str, float, float, int, int]], most: int
) -> None:
    old = content("random", 3_000_000, 5)
    new = edited(old, edits)
    patch = make_patch(InMemory(old), InMemory(new))
    assert patch is not None
    assert len(patch) <= most
    assert applied(patch, old, len(new)) == new


def test_new_bytes_are_compressed_against_those_that_they_replace() -> None:
    old = content("text", 2_000_000, 1)
    lines = old.split(b"\n")
    for i in range(0, len(lines), 50):
        lines[i] = lines[i].replace(b'"key"', b'"kay"').replace(b"0", b"5")
    new = b"\n".join(lines)
    patch = make_patch(InMemory(old), InMemory(new))
    assert patch is not None
    changed = sum(len(line) for line in lines[::50])
    assert len(patch) < changed / 2
    assert applied(patch, old, len(new)) == new


def test_a_content_that_is_another_one_has_no_patch() -> None:
    assert (
        make_patch(InMemory(content("random", 300_000, 1)), InMemory(content("random", 300_000, 2)))
        is None
    )
    assert make_patch(InMemory(b""), InMemory(content("text", 5000, 2))) is None


def test_files_are_read_in_spans(tmp_path: Path) -> None:
    old = content("text", 700_000, 3)
    new = edited(old, [("insert", 0.5, 0, 100, 1), ("overwrite", 0.8, 0, 7, 1)])
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(new)
    with (tmp_path / "old").open("rb") as before, (tmp_path / "new").open("rb") as after:
        one, other = InFile(before.fileno()), InFile(after.fileno())
        patch = make_patch(one, other)
        assert patch is not None
        slices = list(patched(patch, one, len(new)))
    assert b"".join(slices) == new
    assert max(map(len, slices)) <= KIB * KIB


def test_a_file_that_became_shorter_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 1000)
    with (tmp_path / "old").open("rb") as file:
        spans = InFile(file.fileno())
        (tmp_path / "old").write_bytes(b"x")
        with pytest.raises(EOFError):
            spans.read(0, 1000)


# --- what a peer may send ------------------------------------------------------------------------

OLD = content("text", 100_000, 7)
NEW = edited(OLD, [("insert", 0.5, 0, 100, 1), ("move", 0.1, 0.9, 4096, 2)])
_MADE = make_patch(InMemory(OLD), InMemory(NEW))
assert _MADE is not None
GOOD: bytes = _MADE


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_patch_is_refused_or_makes_no_more_than_it_may(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        if kind == "flip" and damaged:
            damaged[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del damaged[at:]
        elif kind == "insert":
            damaged[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        else:
            damaged += damaged[at:]
    made = 0
    try:
        for part in patched(bytes(damaged), InMemory(OLD), len(NEW)):
            made += len(part)
    except SyncError:
        pass
    else:
        assert made == len(NEW)
    assert made <= len(NEW)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(SyncError):
        list(patched(noise, InMemory(OLD), len(NEW)))


def forged(copies: list[tuple[int, int, int]], literal: bytes, new: int, old: int = 0) -> bytes:
    """Return a patch with numbers that we would not write: copies are gap, jump and length."""
    columns = [[copy[i] for copy in copies] for i in range(3)]
    program = Program(gaps=columns[0], jumps=columns[1], lengths=columns[2])
    return framed(program.SerializeToString(), literal, new, old)


def framed(program: bytes, literal: bytes = b"", new: int = 10, old: int = 0) -> bytes:
    """Return a patch with any bytes for its program."""
    patch = Patch(old_size=old or len(OLD), new_size=new)
    patch.program, patch.literals = zstd.compress(program), zstd.compress(literal)
    return patch.SerializeToString()


@pytest.mark.parametrize(
    ("patch", "size", "told"),
    [
        (forged([], b"x" * 10, 10, old=5), 10, "it turns 5 bytes into 10"),
        (forged([], b"x" * 10, 10), 11, "it turns 100000 bytes into 10"),
        (forged([], b"x" * 10, 2**40), 2**40, "more new bytes than any"),
        (forged([(0, len(OLD) - 5, 10)], b"", 10), 10, "points outside"),
        (forged([(0, -1, 10)], b"", 10), 10, "points outside"),
        (forged([(0, 0, 10), (2**50, 0, 10)], b"", 20), 20, "points outside"),
        (forged([(0, 0, 2**63)], b"", 20), 20, "points outside"),
        (forged([(0, 0, 5)], b"x" * 20, 10), 10, "more new bytes than it says"),
        (forged([(0, 0, 5)], b"x", 10), 10, "fewer new bytes than it says"),
        (framed(Program(gaps=[0], jumps=[0, 0], lengths=[1]).SerializeToString()), 10, "parts of"),
        (framed(b"\xff" * 10), 10, "copies cannot be read"),
        (Patch(old_size=len(OLD), new_size=10).SerializeToString(), 10, "a frame holds"),
        (b"\xff" * 100, 10, "cannot be read"),
        (b"", 10, "it turns 0 bytes into 0"),
    ],
)
def test_a_forged_patch_is_refused_in_words(patch: bytes, size: int, told: str) -> None:
    with pytest.raises(SyncError, match=told):
        list(patched(patch, InMemory(OLD), size))


def test_more_copies_than_any_that_are_sent_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = forged([(0, 0, 1), (0, 5, 1)], b"", 2)
    assert applied(patch, OLD, 2) == OLD[:1] + OLD[6:7]
    monkeypatch.setattr(patches, "MOST_COPIES", 1)
    with pytest.raises(SyncError, match="too many copies"):
        applied(patch, OLD, 2)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    patch = framed(bytes(50_000_000))
    with pytest.raises(SyncError, match="a frame holds more"):
        list(patched(patch, InMemory(OLD), 10))
    monkeypatch.setattr(patches, "MOST_BYTES", 100)
    with pytest.raises(SyncError, match="larger than any that is sent"):
        list(patched(patch, InMemory(OLD), 10))


# --- what a search costs -------------------------------------------------------------------------


class Counted(InMemory):
    """A content that counts what is read of it, up to the farthest byte."""

    farthest = 0

    def read(self, start: int, end: int) -> bytes:
        """Return bytes."""
        self.farthest = max(self.farthest, min(end, len(self)))
        return super().read(start, end)


def test_a_search_ends_when_the_whole_would_cost_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "_MOST_LITERALS", 1_000_000)
    size = 20_000_000
    new = Counted(content("random", size, 3))
    assert make_patch(InMemory(content("random", size, 1)), new) is None
    assert new.farthest < size / 2


def test_a_very_large_content_has_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    old = content("random", 1_000_000, 5)
    moved = InMemory(edited(old, [("move", 0.2, 0.8, 200_000, 1)]))
    patch = make_patch(InMemory(old), moved)
    assert patch is not None
    assert len(patch) < 200
    monkeypatch.setattr(chunks, "_LARGEST", len(old) - 1)
    assert len(make_patch(InMemory(old), moved) or bytes(10**6)) > 200_000
    edit = InMemory(edited(old, [("overwrite", 0.5, 0, 100, 1)]))
    patch = make_patch(InMemory(old), edit)
    assert patch is not None
    assert len(patch) < 250


# --- the parts -----------------------------------------------------------------------------------


def test_copies_grow_together_and_tell_what_is_left() -> None:
    copies = Copies()
    for copy in ((0, 0, 10), (10, 10, 5), (20, 40, 10), (30, 50, 0)):
        copies.add(*copy)
    assert [tuple(copy) for copy in copies] == [(0, 0, 15), (20, 40, 10)]
    assert list(copies.literals(40)) == [(15, 20), (30, 40)]
    assert copies.unused(60, 100) == [(15, 40), (50, 60)]
    assert copies.unused(60, 30) == [(15, 40), (50, 55)]
    assert copies.missed(40) == 15
    assert not copies.are_futile(40, 15)
    assert copies.are_futile(40, 14)


def test_short_copies_are_left_to_the_compression() -> None:
    """Each would cost a place in the program, and a piece of its own where it is applied."""
    rng = random.Random(7)
    cells = [rng.randbytes(40) for _ in range(100)]
    old = rng.randbytes(64 * KIB) + b"".join(cells) + rng.randbytes(64 * KIB)
    rng.shuffle(cells)
    new = old[: 64 * KIB] + b"".join(cells) + old[-64 * KIB :]

    patch = make_patch(InMemory(old), InMemory(new))

    assert patch is not None
    assert b"".join(patched(patch, InMemory(old), len(new))) == new
    program = Program.FromString(zstd.decompress(Patch.FromString(patch).program))
    assert min(program.lengths) >= 64
    assert len(patch) < 1000
