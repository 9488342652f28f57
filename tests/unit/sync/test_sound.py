"""A version that somebody wrote into shows, and one that nobody touched is not looked at again."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import pytest

from foreshadow.sync import sound
from foreshadow.sync.versions import intact
from tests.unit.sync.trees import Pair


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    for name in ("a/one", "a/two", "top"):
        (pair.state / name).parent.mkdir(exist_ok=True)
        (pair.state / name).write_text(name)
    (pair.state / "big").write_bytes(os.urandom(100_000))
    (pair.state / "link").symlink_to("top")
    await pair.send()
    return pair


class Looks:
    """What a :class:`Sound` says of a version, and how many entries it looked at for that."""

    def __init__(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        version = pair.link.receiver.versions.current()
        self.tree = pair.link.receiver.versions.tree(version.number)
        self.entries = version.entries
        self.looked = 0
        self.sound = sound.Sound()

        def counted(tree: Path, entries: object) -> object:
            self.looked += len(entries)  # type: ignore[arg-type]
            return intact(tree, entries)  # type: ignore[arg-type]

        monkeypatch.setattr(sound, "intact", counted)

    def bad(self) -> set[str]:
        self.looked = 0
        good = self.sound.intact(self.tree, self.entries)
        assert good == intact(self.tree, self.entries)
        return {entry.path for entry in self.entries} - good.keys()


@pytest.fixture
def looks(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(pair, monkeypatch)


def test_an_untouched_version_is_looked_at_once(looks: Looks) -> None:
    assert (looks.bad(), looks.looked) == (set(), len(looks.entries))
    assert (looks.bad(), looks.looked) == (set(), 2), "a folder, and the large file in it"
    (looks.tree / "top").read_text()
    assert (looks.bad(), looks.looked) == (set(), 2)


def test_what_was_written_into_shows_until_it_is_as_it_was(looks: Looks) -> None:
    looks.bad()
    before = (looks.tree / "a/one").stat()
    (looks.tree / "a/one").write_text("written by a service")
    assert looks.bad() == {"a/one"}
    assert looks.bad() == {"a/one"}
    (looks.tree / "a/one").write_text("a/one")
    os.utime(looks.tree / "a/one", ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert looks.bad() == set()
    (looks.tree / "top").unlink()
    assert looks.bad() == {"top"}


def test_a_write_through_a_memory_map_of_a_large_file_shows(looks: Looks) -> None:
    with (looks.tree / "big").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        looks.bad()
        looks.bad()
        mapped[5] = (mapped[5] + 1) % 256
        assert looks.bad() == {"big"}


def test_a_tree_that_is_gone_has_nothing(looks: Looks) -> None:
    assert looks.bad() == set()
    looks.tree.rename(looks.tree.with_name("gone"))
    assert len(looks.bad()) == len(looks.entries)
    looks.tree.with_name("gone").rename(looks.tree)
    assert looks.bad() == set()


def test_everything_is_looked_at_from_time_to_time(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks.bad()
    now = time.monotonic()
    monkeypatch.setattr("foreshadow.sync.sound.time.monotonic", lambda: now + 2 * sound._LOOK_EVERY)
    assert (looks.bad(), looks.looked) == (set(), len(looks.entries))


async def test_a_round_repairs_what_a_service_wrote_into_a_version(pair: Pair) -> None:
    await pair.send()
    (pair.version.resolve() / "a/one").write_text("written by a service")
    assert (await pair.send()).changed
    assert pair.same()
