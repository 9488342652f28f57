"""A large file that changed a little: what is read, copied and compared of it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreshadow.sync import layers, outbox
from foreshadow.sync.digests import BLOCK, content_digest
from foreshadow.sync.layers import PAGE, Compared
from foreshadow.sync.outbox import Outbox
from foreshadow.sync.patches.patch import make_patch, patched
from foreshadow.sync.patches.spans import Spans
from tests.unit.sync.trees import Pair

SIZE = 40 * BLOCK + 1234


class Bench:
    """A large file, and the outbox that it is copied into."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "big"
        self.path.write_bytes(random.Random(1).randbytes(SIZE))
        self.folder = folder / "contents"
        self.outbox = Outbox(self.folder)
        self.outbox.prepare()
        self.digest: str | None = None

    def read(self, *, copy: bool = True) -> bytes:
        """Take it in, and return what the outbox has of it."""
        content, origin = self.outbox.read(str(self.path), copy=copy, before=self.digest)
        now = self.path.read_bytes()
        assert content.digest == content_digest(now)
        assert content.size == len(now)
        self.digest = content.digest
        held = b"".join(origin.read(0, content.size, 50_001))
        assert held == now
        return held

    def poke(self, at: int, data: bytes = b"changed") -> None:
        with self.path.open("r+b") as stream:
            stream.seek(at)
            stream.write(data)

    def used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(outbox, "LEAST", BLOCK)
    return Bench(tmp_path)


def test_only_pages_that_changed_are_copied(bench: Bench) -> None:
    bench.read()
    assert bench.used() == SIZE
    bench.poke(5 * BLOCK + 100)
    bench.poke(9 * PAGE - 3)
    bench.read()
    assert bench.used() == SIZE + 3 * PAGE
    assert not (bench.folder / "draft").exists()


@pytest.mark.parametrize("seed", range(8))
def test_any_content_is_read_back_and_patched(bench: Bench, seed: int) -> None:
    """Edits, growth and cuts, some of which change too much for pages."""
    choice = random.Random(seed)
    kept: list[tuple[str, bytes]] = []
    for _ in range(8):
        bench.read()
        assert bench.digest is not None
        data = bench.path.read_bytes()
        kept.append((bench.digest, data))
        for digest, was in kept:
            with (
                bench.outbox.origin(digest).opened() as old,
                bench.outbox.origin(bench.digest).opened() as new,
            ):
                assert old.read(0, len(old)) == was
                suspects = bench.outbox.differing(digest, bench.digest)
                check_patch(old, new, make_patch(old, new, suspects))
        match choice.randrange(5):
            case 0:
                bench.path.write_bytes(data + choice.randbytes(choice.randrange(1, 2 * BLOCK)))
            case 1:
                os.truncate(bench.path, choice.randrange(len(data) // 2, len(data)))
            case 2:
                bench.poke(0, choice.randbytes(len(data) // 2))
            case _:
                for _ in range(5):
                    bench.poke(choice.randrange(len(data) - 100), choice.randbytes(50))


def check_patch(old: Spans, new: Spans, patch: bytes | None) -> None:
    if patch is not None:
        made = b"".join(patched(patch, old, len(new)))
        assert made == new.read(0, len(new))


def test_a_content_that_comes_back_is_the_copy_that_is_there(bench: Bench) -> None:
    first = bench.read()
    bench.poke(77_777)
    second = bench.read()
    used = bench.used()
    for data in (first, second, first, second):
        bench.path.write_bytes(data)
        bench.read()
        assert bench.used() == used


def test_pages_stay_for_as_long_as_anybody_has_the_content(bench: Bench) -> None:
    bench.read()
    first = bench.digest
    bench.poke(77_777)
    bench.read()
    second = bench.digest
    assert first
    assert second
    bench.outbox.sweep(frozenset({second}), {})
    assert bench.outbox.has(second)
    assert bench.outbox.has(first), "the other pages are there"
    bench.read()
    with bench.outbox.hold({second: bench.outbox.origin(second)}):
        bench.outbox.sweep(frozenset(), {})
        bench.read()
    bench.outbox.sweep(frozenset(), {})
    assert not bench.outbox.has(second)
    assert not list(bench.folder.iterdir())
    bench.read()


def test_a_file_that_grows_meanwhile_is_taken_as_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bench.read()
    during(bench, monkeypatch, lambda: append(bench.path))
    bench.poke(3)
    content, origin = bench.outbox.read(str(bench.path), copy=True, before=bench.digest)
    was = bytearray(data)
    was[3:10] = b"changed"
    expected = bytes(was)
    assert content.size == SIZE
    assert content.digest == content_digest(expected)
    assert b"".join(origin.read(0, content.size, BLOCK)) == expected


def test_a_file_that_changes_meanwhile_is_never_taken_torn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.read()
    bench.poke(30 * BLOCK)

    def rewrite() -> None:
        bench.poke(0, b"early")
        bench.poke(SIZE - 100, b"late")

    during(bench, monkeypatch, rewrite)
    bench.read()


def during(bench: Bench, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen once, when the file has been read half-way."""
    real, left = layers.quick_hash, [20]

    def hashed(data: bytes) -> bytes:
        left[0] -= 1
        if left[0] == 0:
            act()
        return real(data)

    monkeypatch.setattr(layers, "quick_hash", hashed)


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more" * 1000)


def test_the_last_look_before_a_promotion_copies_nothing(bench: Bench) -> None:
    bench.read()
    before = bench.digest
    bench.poke(77_777)
    used = bench.used()
    bench.read(copy=False)
    assert bench.used() == used
    assert before
    assert bench.digest
    assert bench.outbox.differing(before, bench.digest) == [(18 * PAGE, 19 * PAGE)]
    bench.poke(177_777)
    bench.read()


def test_what_changed_mostly_is_copied_as_a_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Compared | None] = []
    real = layers.compare

    def compare(*args: Any) -> Compared | None:
        seen.append(real(*args))
        return seen[-1]

    monkeypatch.setattr(outbox, "compare", compare)
    bench.read()
    bench.path.write_bytes(os.urandom(SIZE))
    bench.read()
    assert seen == [None]
    bench.poke(5)
    bench.read()
    assert seen[-1] is not None


def test_pages_of_an_agent_before_are_not_believed(bench: Bench) -> None:
    bench.read()
    bench.poke(77_777)
    bench.read()
    fresh = Outbox(bench.folder)
    fresh.prepare()
    assert bench.digest
    assert not fresh.has(bench.digest)
    assert not list(bench.folder.glob("*.pages"))


async def test_rounds_of_a_large_file_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to a destination that missed some, and from a source that was started again."""
    monkeypatch.setattr(outbox, "LEAST", BLOCK)
    pair, choice = Pair(tmp_path), random.Random(3)
    path = pair.state / "big"
    path.write_bytes(choice.randbytes(SIZE))
    for number in range(12):
        await pair.send()
        assert pair.same()
        for missed in range(choice.randrange(3)):
            with path.open("r+b") as stream:
                stream.seek(choice.randrange(SIZE - 100))
                stream.write(b"%d-%d" % (number, missed))
            pair.snapshot()
        if number == 6:
            pair.restart_source()
