"""Reading what somebody writes to, and not reading what did not change."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from blake3 import blake3

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.sync import reading
from foreshadow.sync.durable import remove_tree
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.pace import Pace
from foreshadow.sync.reading import read_steady
from foreshadow.sync.snapshot import Photographer, Snapshot
from tests.unit.sync.trees import scene


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small slices, and the offsets that were read."""
    seen: list[int] = []
    real = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        seen.append(offset)
        return real(descriptor, size, offset)

    monkeypatch.setattr(reading, "SLICE", 100)
    monkeypatch.setattr(os, "pread", pread)
    return seen


def test_a_file_that_grows_is_taken_as_it_was(tmp_path: Path, slices: list[int]) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 1000)

    def append(data: bytes, offset: int) -> None:
        with path.open("ab") as log:
            log.write(b"b" * 10)

    content = read_steady(path, append)
    assert (content.size, content.digest) == (1000, blake3(b"a" * 1000).hexdigest())


def test_a_torn_content_is_read_again(tmp_path: Path, slices: list[int]) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1000)
    writes = iter([b"b", b"c"])

    def overwrite(data: bytes, offset: int) -> None:
        if offset == 500 and (new := next(writes, None)) is not None:
            path.write_bytes(new * 1000)

    assert read_steady(path, overwrite).digest == blake3(b"c" * 1000).hexdigest()


def test_a_file_that_never_holds_still_is_told(tmp_path: Path, slices: list[int]) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1000)

    def overwrite(data: bytes, offset: int) -> None:
        path.write_bytes(os.urandom(1000))

    with pytest.raises(SyncError, match="exclude it, or let the service replace it"):
        read_steady(path, overwrite)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(SyncError, match="regular file"):
        read_steady(tmp_path / "pipe")
    with pytest.raises(SyncError, match="cannot be read"):
        read_steady(tmp_path / "link")


class Album:
    """Snapshots of one folder, with a clock of its own for the stat cache."""

    def __init__(self, tmp_path: Path) -> None:
        self.state = tmp_path / "live"
        self.state.mkdir()
        self.source = tmp_path / "source"
        self.ahead_ns = 0
        self.reopen()

    def reopen(self) -> None:
        self.photographer = Photographer(self.source, [FilesCapture({})])
        real = self.photographer._cache._now_ns
        self.photographer._cache._now_ns = lambda: real() + self.ahead_ns

    def take(self, keep: frozenset[str] = frozenset()) -> Snapshot:
        return self.photographer.take(scene(self.state), WallTime(1.0), keep=keep)

    def copies(self) -> list[str]:
        return [path.name for path in (self.source / "contents").iterdir()]


def test_an_idle_round_reads_no_file_also_after_a_restart(
    tmp_path: Path, slices: list[int]
) -> None:
    album = Album(tmp_path)
    (album.state / "f").write_bytes(b"a" * 1000)
    first = album.take()
    album.ahead_ns = 3 * 10**9
    album.take()
    slices.clear()
    assert album.take().root == first.root
    album.reopen()
    assert album.take().root == first.root
    assert slices == []


def test_a_change_within_the_granularity_of_the_time_stamps_is_seen(tmp_path: Path) -> None:
    album = Album(tmp_path)
    path = album.state / "f"
    path.write_bytes(b"a" * 1000)
    first = album.take()
    stamp = path.stat()
    # The same size, inode and times, as on a file system that counts seconds.
    known = album.photographer._cache._known[str(path)]
    path.write_bytes(b"b" * 1000)
    os.utime(path, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    now = reading.Stamp.of(path.lstat())
    album.photographer._cache._known[str(path)] = (now, known[1], known[2])
    assert album.take().root != first.root


def test_copies_go_when_neither_the_state_nor_a_destination_has_them(tmp_path: Path) -> None:
    album = Album(tmp_path)
    (album.state / "f").write_bytes(b"a" * 1000)
    first = album.take()
    assert album.copies() == [first.entries[0].digest]
    (album.state / "f").write_bytes(b"b" * 1000)
    with album.photographer.hold(first):
        second = album.take()
        assert len(album.copies()) == 2
    album.take()
    assert album.copies() == [second.entries[0].digest]
    (album.state / "f").write_bytes(b"c" * 1000)
    album.take(keep=frozenset(album.copies()))
    assert len(album.copies()) == 2


def test_a_file_that_is_hashed_again_is_not_copied_again(tmp_path: Path) -> None:
    album = Album(tmp_path)
    (album.state / "f").write_bytes(b"a" * 1000)
    first = album.take()
    (copy,) = (album.source / "contents").iterdir()
    inode = copy.stat().st_ino
    second = album.take()
    assert copy.stat().st_ino == inode
    digest = second.entries[0].digest
    assert second.origins[digest] == first.origins[digest]


def test_a_full_disk_costs_the_copy_and_not_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    album = Album(tmp_path)
    (album.state / "f").write_bytes(b"a" * 1000)
    monkeypatch.setattr(os, "pwrite", full)
    snapshot = album.take()
    assert album.copies() == []
    origin = snapshot.origins[snapshot.entries[0].digest]
    assert b"".join(origin.read(0, 1000, 400)) == b"a" * 1000


def test_a_file_that_vanishes_meanwhile_is_not_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = Album(tmp_path)
    (album.state / "a").write_text("a")
    (album.state / "b").write_text("b")
    real = Photographer._add

    def add(self: Photographer, draft: object, item: object) -> None:
        (album.state / "b").unlink(missing_ok=True)
        real(self, draft, item)  # type: ignore[arg-type]

    monkeypatch.setattr(Photographer, "_add", add)
    assert [entry.path for entry in album.take().entries] == ["a"]


async def test_senders_are_held_to_the_rate_together() -> None:
    clock = [0.0]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    pace = Pace(1000, lambda: clock[0], sleep)
    for _ in range(5):
        await pace.take(500)
    assert clock[0] == pytest.approx(2.0)
    clock[0] += 100
    await pace.take(500)
    assert clock[0] == pytest.approx(102.0), "a quiet time is no credit, and no debt"
    assert (pace.batch(1_000_000), Pace(None).batch(1_000_000)) == (1000, 1_000_000)


def test_a_lost_private_folder_is_never_taken_for_an_empty_state(tmp_path: Path) -> None:
    album = Album(tmp_path)
    (album.state / "f").write_bytes(b"a" * 1000)
    first = album.take()
    remove_tree(album.source)
    (album.state / "f").touch()
    assert [e.digest for e in album.take().entries] == [e.digest for e in first.entries]
