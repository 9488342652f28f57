"""Files of versions that went, which become the next version where they differ from it."""

from __future__ import annotations

import mmap
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import EntryKind
from foreshadow.sync import spares
from foreshadow.sync.rebuild import brought_up
from foreshadow.sync.sound import verify
from foreshadow.sync.versions import Versions
from tests.unit.sync.trees import Pair

SIZE = 700_000


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    monkeypatch.setattr(spares, "LEAST", SIZE // 4)
    pair = Pair(tmp_path)
    (pair.state / "big").write_bytes(random.Random(1).randbytes(SIZE))
    return pair


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each spare became what was wanted."""
    seen: list[bool] = []

    def seeing(*args: object) -> object:
        made = brought_up(*args)  # type: ignore[arg-type]
        seen.append(made is not None)
        return made

    monkeypatch.setattr("foreshadow.sync.staging.brought_up", seeing)
    return seen


def edit(pair: Pair, number: int, *, at: int | None = None) -> None:
    with (pair.state / "big").open("r+b") as stream:
        stream.seek(number * 9_000 if at is None else at)
        stream.write(b"%d changed" % number)


async def rounds(pair: Pair, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        edit(pair, number)
        await pair.send()
        assert pair.same()


async def test_the_file_before_the_last_one_becomes_the_next(
    pair: Pair, brought: list[bool]
) -> None:
    await pair.send()
    inodes = []
    for number in range(6):
        await rounds(pair, 1, number)
        inodes.append((pair.version / "big").stat().st_ino)
    assert brought == [True] * 4, "the first two have no spare yet"
    assert len(set(inodes)) == 3, "they take turns"


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(os.urandom(150_000))


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100_001)


def insert(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-90_000] + b"inserted" + data[-90_000:])


def cut_out(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-90_000] + data[-70_000:])


@pytest.mark.parametrize("seed", range(5))
async def test_edits_of_all_kinds_come_out_right(
    pair: Pair, brought: list[bool], seed: int
) -> None:
    """Each is verified by its digest, and then compared as a whole."""
    choice = random.Random(seed)
    ways: list[Callable[[Path], None]] = [grow, shrink, insert, cut_out]
    await pair.send()
    for number in range(14):
        if choice.random() < 0.5:
            choice.choice(ways)(pair.state / "big")
        edit(pair, number, at=choice.randrange(SIZE // 2))
        await pair.send()
        assert pair.same()
    assert sum(brought) >= 8
    assert all(brought)


async def test_a_content_that_comes_back_is_right(pair: Pair) -> None:
    await pair.send()
    old = (pair.state / "big").read_bytes()
    for number in range(6):
        edit(pair, number)
        await pair.send()
        (pair.state / "big").write_bytes(old)
        (pair.state / "beside").write_bytes(b"%d" % number)
        await pair.send()
        assert pair.same()


async def test_a_file_that_a_process_has_open_is_never_written_to(
    pair: Pair, brought: list[bool]
) -> None:
    """Such as a service that reads a version until it is told of the next one."""
    await pair.send()
    was = (pair.state / "big").read_bytes()
    with (pair.version / "big").open("rb") as reader:
        await rounds(pair, 4)
        assert reader.read() == was
    assert sum(brought) == 1, "the one that was open has gone"


async def test_a_file_that_is_mapped_is_never_written_to(pair: Pair) -> None:
    await pair.send()
    was = (pair.state / "big").read_bytes()
    descriptor = os.open(pair.version / "big", os.O_RDONLY)
    mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    os.close(descriptor)
    await rounds(pair, 4)
    assert mapped[:] == was


async def test_a_file_with_another_name_is_never_written_to(pair: Pair, tmp_path: Path) -> None:
    await pair.send()
    was, mode = (pair.state / "big").read_bytes(), (pair.state / "big").stat().st_mode
    os.link(pair.version / "big", tmp_path / "other")
    await rounds(pair, 4)
    assert (tmp_path / "other").read_bytes() == was
    assert (tmp_path / "other").stat().st_mode == mode


async def test_a_spare_that_somebody_wrote_to_is_not_used(pair: Pair, brought: list[bool]) -> None:
    await pair.send()
    await rounds(pair, 2)
    (spare,) = (pair.shadow / "spares").iterdir()
    spare.write_bytes(b"x" * SIZE)
    await rounds(pair, 1, 2)
    assert not brought


def damage(path: Path) -> None:
    """Change a byte, as a disk does: no time tells of it."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.seek(SIZE - 10)
        byte = stream.read(1)
        stream.seek(SIZE - 10)
        stream.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def test_damage_where_nothing_was_written_is_found_when_it_is_read_again(
    pair: Pair,
) -> None:
    await pair.send()
    await rounds(pair, 5)
    receiver = pair.link.receiver
    assert receiver.unread(3600.0) is None
    unread = receiver.unread(-1.0)
    assert unread is not None
    assert verify(*unread)
    damage(pair.version / "big")
    assert not verify(*unread)
    await pair.send()
    assert pair.same(), "the next round sent it again"


async def test_how_long_a_part_went_unread_is_that_of_the_file_not_of_its_version(
    pair: Pair,
) -> None:
    now = [1000.0]
    pair.link.receiver._spares._clock = lambda: now[0]
    await pair.send()
    await rounds(pair, 3)
    now[0] += 100
    await rounds(pair, 6, 3)
    unread = pair.link.receiver.unread(99.0)
    assert unread is not None
    pair.link.receiver.was_read(unread[1])
    assert pair.link.receiver.unread(99.0) is None


async def test_a_restart_leaves_no_spare_behind(pair: Pair) -> None:
    await pair.send()
    await rounds(pair, 3)
    assert list((pair.shadow / "spares").iterdir())
    pair.restart_destination()
    await rounds(pair, 1, 3)
    assert not (pair.shadow / "spares").exists() or not list((pair.shadow / "spares").iterdir())
    await rounds(pair, 3, 4)


async def test_there_is_one_spare_at_most_of_a_file(pair: Pair) -> None:
    await pair.send()
    for number in range(8):
        await rounds(pair, 1, number)
        (pair.state / "beside").write_bytes(b"%d" % number)
        await pair.send()
        there = pair.shadow / "spares"
        assert not there.exists() or len(list(there.iterdir())) <= 1
    (pair.state / "big").write_bytes(os.urandom(SIZE))
    for number in range(3):
        (pair.state / "beside").write_bytes(b"again %d" % number)
        await pair.send()
    assert not list((pair.shadow / "spares").iterdir()), "nothing comes of them any more"


async def test_a_write_that_fails_half_way_leaves_the_version_as_it_was(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    await rounds(pair, 3)
    before = (pair.version / "big").read_bytes()
    edit(pair, 50)
    with monkeypatch.context() as broken:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        broken.setattr(os, "pwrite", full)
        broken.setattr("foreshadow.sync.staging.written", full)
        with pytest.raises(SyncError, match="No space left"):
            await pair.send()
    assert (pair.version / "big").read_bytes() == before
    await rounds(pair, 2, 51)


async def test_only_files_are_kept(pair: Pair) -> None:
    (pair.state / "link").symlink_to("big")
    await pair.send()
    await rounds(pair, 3)
    current = Versions(pair.shadow).current()
    assert {e.kind for e in current.entries} == {EntryKind.FILE, EntryKind.SYMLINK}
