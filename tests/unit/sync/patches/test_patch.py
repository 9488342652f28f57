"""Patches: whatever the two contents are, the new one comes out; a hostile patch is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.domain.errors import SyncError
from foreshadow.sync.patches import patch as patches
from foreshadow.sync.patches.copies import Copies
from foreshadow.sync.patches.numbers import folded, packed, unfolded, unpacked
from foreshadow.sync.patches.patch import make_patch, patched
from foreshadow.sync.patches.spans import InFile
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


def forged(
    runs: list[tuple[int, int, int]], literal: bytes, new_size: int, **numbers: int
) -> bytes:
    """Return a patch with numbers that we would not write."""
    program = zstd.compress(packed(part[i] for i in range(3) for part in runs))
    head = {
        "format": 1,
        "old": len(OLD),
        "new": new_size,
        "literals": len(literal),
        "copies": len(runs),
        "program": len(program),
    } | numbers
    return packed(head.values()) + program + zstd.compress(literal)


@pytest.mark.parametrize(
    ("patch", "size", "told"),
    [
        (forged([], b"x" * 10, 10, format=2), 10, "its format is 2"),
        (forged([], b"x" * 10, 10, old=5), 10, "it turns 5 bytes into 10"),
        (forged([], b"x" * 10, 10), 11, "it turns 100000 bytes into 10"),
        (forged([], b"x" * 10, 10, copies=2**40), 10, "more copies or new bytes than any"),
        (forged([], b"x" * 10, 10, literals=2**40), 10, "more copies or new bytes than any"),
        (forged([], b"x" * 10, 10, program=2**20), 10, "it is cut off"),
        (forged([(0, folded(len(OLD) - 5), 10)], b"", 10), 10, "points outside"),
        (forged([(0, folded(-1), 10)], b"", 10), 10, "points outside"),
        (forged([(0, 0, 10), (2**50, 0, 10)], b"", 20), 20, "points outside"),
        (forged([(0, 0, 10)], b"", 20), 20, "do not make the content"),
        (forged([(0, 0, 5)], b"x" * 20, 10, literals=5), 10, "more new bytes than it says"),
        (forged([(0, 0, 5)], b"x", 10, literals=5), 10, "fewer new bytes than it says"),
        (b"\xff" * 100, 10, "cut off or too large"),
        (b"", 10, "cut off or too large"),
    ],
)
def test_a_forged_patch_is_refused_in_words(patch: bytes, size: int, told: str) -> None:
    with pytest.raises(SyncError, match=told):
        list(patched(patch, InMemory(OLD), size))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zstd.compress(bytes(50_000_000))
    patch = packed((1, len(OLD), 10, 10, 1, len(bomb))) + bomb
    with pytest.raises(SyncError, match="more in its program than it says"):
        list(patched(patch, InMemory(OLD), 10))
    monkeypatch.setattr(patches, "MOST_BYTES", 100)
    with pytest.raises(SyncError, match="larger than any that is sent"):
        list(patched(patch, InMemory(OLD), 10))


# --- the parts -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**55)))
def test_numbers_come_back(values: list[int]) -> None:
    data = packed(values)
    assert unpacked(data, len(values)) == (values, len(data))


@given(st.integers(-(2**50), 2**50))
def test_signs_come_back(value: int) -> None:
    assert unfolded(folded(value)) == value
    assert folded(value) >= 0


def test_copies_grow_together_and_tell_what_is_left() -> None:
    copies = Copies()
    for copy in ((0, 0, 10), (10, 10, 5), (20, 40, 10), (30, 50, 0)):
        copies.add(*copy)
    assert [tuple(copy) for copy in copies] == [(0, 0, 15), (20, 40, 10)]
    assert list(copies.literals(40)) == [(15, 20), (30, 40)]
    assert copies.unused(60, 100) == [(15, 40), (50, 60)]
    assert copies.unused(60, 30) == [(15, 40), (50, 55)]
