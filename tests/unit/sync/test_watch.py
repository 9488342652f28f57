"""A tree in which nothing happens is not walked, and nothing that happens in it is missed."""

from __future__ import annotations

import errno
import mmap
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inotify_simple import INotify

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SyncError
from foreshadow.domain.protocols import Findings, Scene
from foreshadow.sync import files
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.snapshot import Photographer, Snapshot
from foreshadow.sync.watch import TreeWatch
from tests.unit.sync.trees import scene


class Flaky:
    """A capture that finds nothing, and fails when it is told to."""

    def __init__(self) -> None:
        self.fails = False

    def capture(self, scene: Scene) -> Findings:
        if self.fails:
            raise SyncError("it fails")
        return Findings(unchanged=True)


class Watched:
    """A tree, whoever takes its snapshots, and how often that walked."""

    def __init__(self, folder: Path, options: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.options = options or {}
        self.state = folder / "live"
        for name in ("conf/app.conf", "data/a/1", "data/a/2", "data/b/3", "top"):
            path = self.state / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        self.capture = FilesCapture(self.options)
        self.walks = 0
        walked = self.capture._walked

        def counted(root: Path, prefix: str) -> Findings:
            self.walks += 1
            return walked(root, prefix)

        self.capture._walked = counted  # type: ignore[method-assign]
        self.flaky = Flaky()
        self.photographer = Photographer(folder / "source", [self.capture, self.flaky])
        now = self.photographer._cache._now_ns
        # A minute ahead, so that nothing has been written just now.
        self.photographer._cache._now_ns = lambda: now() + 60 * 10**9
        self.take()

    def take(self, **changes: Any) -> Snapshot:
        return self.photographer.take(replace(scene(self.state), **changes), WallTime(1.0))

    def fresh(self) -> Snapshot:
        """Return what somebody finds who sees the tree for the first time."""
        folder = self.folder / "fresh"
        shutil.rmtree(folder, ignore_errors=True)
        return Photographer(folder, [FilesCapture(self.options)]).take(
            scene(self.state), WallTime(1.0)
        )

    def is_idle(self) -> bool:
        before = self.walks
        self.take()
        return self.walks == before


@pytest.fixture
def tree(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_quiet_tree_is_not_walked_and_its_files_are_not_looked_at(
    tree: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    lstat = os.lstat

    def counted(path: str) -> os.stat_result:
        if str(path).startswith(f"{tree.state}/"):
            looked.append(path)
        return lstat(path)

    monkeypatch.setattr(os, "lstat", counted)
    first = tree.take()
    for _ in range(5):
        again = tree.photographer.take(scene(tree.state), WallTime(2.0))
        assert (again.root, again.captured_at) == (first.root, 2.0)
        assert again.entries is first.entries
    assert (tree.walks, looked) == (1, [])
    (tree.state / "top").read_text()
    assert tree.is_idle(), "reading changes nothing"
    (tree.state / "top").touch()
    tree.take()
    assert len(looked) > 5


def moved_in(tree: Watched) -> None:
    new = tree.folder / "new"
    (new / "deep").mkdir(parents=True)
    (new / "deep/file").write_text("x")
    new.rename(tree.state / "new")


def another_root(tree: Watched) -> None:
    shutil.copytree(tree.state, tree.folder / "other")
    (tree.folder / "other/top").write_text("other")
    tree.state.rename(tree.folder / "old")
    (tree.folder / "other").rename(tree.state)


def linked_root(tree: Watched) -> None:
    shutil.copytree(tree.state, tree.folder / "other")
    (tree.folder / "other/top").write_text("other")
    tree.state.rename(tree.folder / "old")
    tree.state.symlink_to("other")


def written(tree: Watched) -> None:
    with (tree.state / "data/a/1").open("r+") as file:
        file.write("DATA")


def replaced(tree: Watched) -> None:
    (tree.state / "data/a/tmp").write_text("new")
    (tree.state / "data/a/tmp").rename(tree.state / "data/a/1")


CHANGES: dict[str, Callable[[Watched], object]] = {
    "written in place": written,
    "replaced": replaced,
    "truncated": lambda tree: os.truncate(tree.state / "top", 1),
    "touched": lambda tree: os.utime(tree.state / "data/b/3"),
    "another mode": lambda tree: (tree.state / "top").chmod(0o600),
    "another mode of a folder": lambda tree: (tree.state / "data/b").chmod(0o700),
    "removed": lambda tree: (tree.state / "data/b/3").unlink(),
    "removed with its folder": lambda tree: shutil.rmtree(tree.state / "data/b"),
    "made": lambda tree: (tree.state / "conf/new").touch(),
    "linked": lambda tree: (tree.state / "link").symlink_to("top"),
    "hard link": lambda tree: (tree.state / "twin").hardlink_to(tree.state / "top"),
    "folder made": lambda tree: (tree.state / "data/c").mkdir(),
    "folder moved": lambda tree: (tree.state / "data/a").rename(tree.state / "moved"),
    "folder moved in": moved_in,
    "folder moved out": lambda tree: (tree.state / "data/a").rename(tree.folder / "away"),
    "another root": another_root,
    "another root behind a link": linked_root,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_kind_of_change_is_seen(tree: Watched, change: Callable[[Watched], object]) -> None:
    assert tree.is_idle()
    before = tree.take()
    change(tree)
    after = tree.take()
    assert after.entries != before.entries
    assert after.entries == tree.fresh().entries
    assert tree.walks == 2
    # What is watched now is what is there now.
    tree.take()
    assert tree.is_idle()
    newest = max((p for p in tree.state.resolve().rglob("*") if p.is_file()), key=str)
    newest.write_text("once more")
    assert tree.take().entries == tree.fresh().entries


def test_random_changes_are_all_seen(tree: Watched) -> None:
    draw = random.Random(11)
    idle = 0
    for step in range(150):
        if draw.random() < 0.3:
            idle += tree.is_idle()
        for _ in range(draw.choice((0, 1, 1, 3))):
            edit(tree.state, draw, step)
        assert tree.take().entries == tree.fresh().entries
    assert idle > 10


def edit(state: Path, draw: random.Random, step: int) -> None:
    paths = sorted(state.rglob("*"))
    folders = [state, *(path for path in paths if path.is_dir())]
    plain = [path for path in paths if path.is_file()]
    match draw.randrange(6):
        case 0:
            (draw.choice(folders) / f"d{step}").mkdir(exist_ok=True)
        case 1 if paths:
            victim = draw.choice(paths)
            shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
        case 2 if len(folders) > 1:
            folder, into = draw.choice(folders[1:]), draw.choice(folders)
            if not into.is_relative_to(folder) and not (into / f"m{step}").exists():
                folder.rename(into / f"m{step}")
        case 3 if plain:
            with draw.choice(plain).open("a") as file:
                file.write("more")
        case _:
            (draw.choice(folders) / f"f{draw.randrange(20)}x").write_text(str(step))


def test_what_is_excluded_may_change_all_the_time(tmp_path: Path) -> None:
    tree = Watched(tmp_path, {"exclude": ["*.log", "data/a/*"]})
    (tree.state / "conf/app.log").write_text("x")
    (tree.state / "data/a/1").write_text("x")
    assert tree.is_idle()
    (tree.state / "data/b/3").write_text("x")
    assert not tree.is_idle()


def test_an_overflow_of_the_kernels_queue_means_a_walk(tree: Watched) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    (tree.folder / "late").mkdir()
    for number in range(most // 2 + 10):
        path = tree.state / f"top{number % 2}"
        path.touch()
        path.unlink()
    # The queue is full, so the kernel does not tell of these.
    (tree.folder / "late/file").write_text("x")
    (tree.folder / "late").rename(tree.state / "late")
    assert tree.take().entries == tree.fresh().entries
    (tree.state / "late/file").write_text("and this is watched now")
    assert tree.take().entries == tree.fresh().entries


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("add_watch", errno.ENOSPC, "raise fs.inotify.max_user_watches"),
        ("__init__", errno.EMFILE, "raise fs.inotify.max_user_instances"),
        ("add_watch", errno.EACCES, "permission denied"),
    ],
)
def test_where_the_kernel_does_not_watch_every_file_is_looked_at_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(f"foreshadow.sync.watch.INotify.{name}", refuse)
        tree = Watched(tmp_path)
        assert not tree.is_idle()
        (note,) = tree.take().notes
        assert note.startswith("every file is looked at in each round")
        assert said in note
        (tree.state / "top").write_text("seen all the same")
        assert tree.take().entries == tree.fresh().entries
    assert not tree.is_idle(), "it is not tried again at once"
    monkeypatch.setattr("foreshadow.sync.watch._RETRY", 0.0)
    tree.capture._watch._not_before = 0.0
    assert tree.take().notes == ()
    tree.take()
    assert tree.is_idle()


def test_another_tree_is_watched_while_the_kernel_still_lets_go_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, close = threading.Event(), INotify.close
    monkeypatch.setattr(INotify, "close", lambda self: let_go.wait() and close(self))
    watch = TreeWatch(lambda _: False)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        watch.begin(tmp_path / name)
        watch.add(tmp_path / name, "")
        assert watch.is_quiet(tmp_path / name)
    (tmp_path / "other/file").touch()
    assert not watch.is_quiet(tmp_path / "other")
    let_go.set()


def test_the_last_instance_that_the_kernel_gives_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, closed, close = INotify.__init__, threading.Event(), INotify.close

    def refuse_a_second(self: INotify) -> None:
        if not closed.is_set():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        made(self)

    def tell(self: INotify) -> None:
        close(self)
        closed.set()

    watch = TreeWatch(lambda _: False)
    watch.begin(tmp_path)
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(INotify, "close", tell)
    monkeypatch.setattr(INotify, "__init__", refuse_a_second)
    watch.begin(tmp_path / "other")
    watch.add(tmp_path / "other", "")
    assert watch.problem == ""
    assert watch.is_quiet(tmp_path / "other")


def test_a_write_through_a_memory_map_of_a_large_file_is_seen(tree: Watched) -> None:
    path = tree.state / "big"
    path.write_bytes(bytes(200_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        tree.take()
        tree.take()
        before = tree.take()
        mapped[100_000] = 1
        after = tree.take()
        assert after.root != before.root
        assert after.entries == tree.fresh().entries


def test_what_the_kernel_does_not_tell_is_found_in_time_or_when_nothing_may_be_missing(
    tree: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tree.folder / "outside"
    outside.hardlink_to(tree.state / "top")
    tree.take()
    assert tree.is_idle()
    outside.write_text("one")
    assert tree.is_idle(), "inotify does not see it"
    assert tree.take(thorough=True).entries == tree.fresh().entries
    outside.write_text("two, by then")
    now = time.monotonic()
    monkeypatch.setattr("foreshadow.sync.files.time.monotonic", lambda: now + 2 * files._WALK_EVERY)
    assert tree.take().entries == tree.fresh().entries


def test_a_change_in_a_round_that_failed_is_not_forgotten(tree: Watched) -> None:
    tree.flaky.fails = True
    (tree.state / "top").write_text("changed meanwhile")
    with pytest.raises(SyncError):
        tree.take()
    tree.flaky.fails = False
    assert tree.take().entries == tree.fresh().entries

    hidden = tree.folder / "hidden"
    tree.state.rename(hidden)
    with pytest.raises(SyncError):
        tree.take()
    (hidden / "top").write_text("and again")
    hidden.rename(tree.state)
    assert tree.take().entries == tree.fresh().entries


def test_a_file_that_was_just_written_is_looked_at_again(tmp_path: Path) -> None:
    """It may be written once more under the same time stamp, and its copy is to go."""
    tree = Watched(tmp_path)
    tree.photographer._cache._now_ns = lambda: (tree.state / "top").lstat().st_mtime_ns + 10**9
    (tree.state / "top").write_text("now")
    first = tree.take()
    looked = tree.take()
    assert tree.capture._known is not None
    assert tree.capture._known.unchanged
    assert looked.entries == first.entries
    assert looked.origins is not first.origins
