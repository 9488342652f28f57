"""The copy that is made ahead of a promotion: it becomes the current version, or is not used."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from foreshadow.agent import prepared
from foreshadow.agent.layout import Layout
from foreshadow.domain.manifest import Manifest
from foreshadow.sync.stored import Version
from foreshadow.sync.versions import Versions
from tests.unit.sync.trees import Pair, look


class Shadow:
    """A shadow's folder, to which versions of a changing state come."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder / "shadow")
        self.layout.prepare_shadow()
        self.state = folder / "state"
        self.state.mkdir()
        (folder / "source").mkdir()
        self._pair = Pair(folder / "pair")
        self._versions = Versions(self.layout.folder)
        self.number = 0

    def apply(self) -> None:
        """Make what is in ``state`` now the current version."""
        self.number += 1
        self._pair.state = self.state
        entries = self._pair.snapshot().entries
        tree = self.layout.folder / "incoming"
        shutil.copytree(self.state, tree, symlinks=True)
        root = Manifest(entries).root
        self._versions.publish(tree, Version(self.number, root, entries, 1.0), [], flush=True)  # type: ignore[arg-type]

    def take(self) -> Path | None:
        taken = prepared.take(self.layout)
        return None if taken is None else taken.path

    def left(self) -> list[str]:
        return sorted(path.name for path in self.layout.folder.glob("prepared-*"))


@pytest.fixture
def shadow(tmp_path: Path) -> Shadow:
    shadow = Shadow(tmp_path)
    (shadow.state / "db").write_bytes(b"x" * 10_000)
    (shadow.state / "kept").mkdir()
    (shadow.state / "kept" / "deep").write_text("deep")
    (shadow.state / "link").symlink_to("db")
    shadow.apply()
    return shadow


def append(state: Path) -> None:
    with (state / "db").open("ab") as file:
        file.write(b"more")


def rearrange(state: Path) -> None:
    shutil.rmtree(state / "kept")
    (state / "kept").write_text("now a file")
    (state / "link").unlink()
    (state / "link").mkdir()
    (state / "link" / "new").write_text("now a folder")


def remove(state: Path) -> None:
    (state / "db").unlink()


def relink(state: Path) -> None:
    (state / "link").unlink()
    (state / "link").symlink_to("kept/deep")
    (state / "kept").chmod(0o750)


@pytest.mark.parametrize("change", [append, rearrange, remove, relink, lambda _: None])
def test_it_is_brought_up_to_what_came_since(
    shadow: Shadow, change: Callable[[Path], None]
) -> None:
    prepared.prepare(shadow.layout)
    change(shadow.state)
    shadow.apply()
    taken = shadow.take()
    assert taken is not None
    assert look(taken) == look(shadow.layout.current.resolve()) == look(shadow.state)
    assert shadow.left() == []


def test_it_comes_out_as_the_version_whatever_was_changed(tmp_path: Path) -> None:
    chance = random.Random(11)
    shadow = Shadow(tmp_path)
    for _ in range(40):
        for _ in range(chance.randrange(4)):
            shuffle(shadow.state, chance)
        shadow.apply()
        if chance.random() < 0.5:
            prepared.prepare(shadow.layout)
        if chance.random() < 0.5 and (taken := shadow.take()):
            assert look(taken) == look(shadow.state)
            shutil.rmtree(taken)


def shuffle(state: Path, chance: random.Random) -> None:
    """Make, change or remove one of a few paths, of any kind."""
    path = state / chance.choice("abc")
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    match chance.randrange(4):
        case 0:
            path.write_bytes(chance.randbytes(chance.randrange(200)))
        case 1:
            path.mkdir()
            (path / chance.choice("xy")).write_text("inner")
        case 2:
            path.symlink_to(chance.choice("abc"))


def test_nothing_of_the_version_itself_is_shared_with_it(shadow: Shadow) -> None:
    prepared.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    taken = shadow.take()
    assert taken is not None
    before = look(shadow.layout.current.resolve())
    with (taken / "db").open("ab") as file:
        file.write(b"written by the new primary")
    assert look(shadow.layout.current.resolve()) == before


def test_one_that_was_left_half_way_is_not_taken_for_what_it_was(
    shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepared, "_put", killed)
    with pytest.raises(KeyboardInterrupt):
        shadow.take()
    monkeypatch.undo()
    assert shadow.take() is None


def test_what_does_not_become_the_version_is_not_used(
    shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    monkeypatch.setattr(prepared, "_put", lambda *_: None)
    assert shadow.take() is None
    monkeypatch.undo()
    assert not (shadow.layout.folder / ".taken").exists()


def test_a_version_that_a_service_wrote_into_is_not_prepared(shadow: Shadow) -> None:
    with (shadow.layout.current / "db").open("ab") as file:
        file.write(b"by a service that should not")
    prepared.prepare(shadow.layout)
    assert shadow.left() == []


def test_one_whose_version_is_gone_is_not_used(shadow: Shadow) -> None:
    prepared.prepare(shadow.layout)
    for _ in range(3):
        append(shadow.state)
        shadow.apply()
    assert shadow.take() is None


def test_preparing_again_keeps_one_and_dropping_none(shadow: Shadow) -> None:
    for _ in range(2):
        prepared.prepare(shadow.layout)
    assert shadow.left() == ["prepared-1"]
    append(shadow.state)
    shadow.apply()
    prepared.prepare(shadow.layout)
    assert shadow.left() == ["prepared-2"]
    prepared.drop(shadow.layout)
    assert shadow.left() == []


def test_what_was_changed_is_flushed_with_the_links_to_it(
    shadow: Shadow, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    taken = prepared.take(shadow.layout)
    assert taken is not None
    shadow.layout.make_writable(5, superseded=True, prepared=taken.path)
    flushed: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    prepared.flush(shadow.layout, taken.changed)
    folder = shadow.layout.folder.resolve()
    assert f"{folder}/writable-5/db" in flushed
    assert flushed[-1] == str(folder), "the link comes after what it leads to"
    assert f"{folder}/writable-5/kept/deep" not in flushed, "it was flushed when it was prepared"
    flushed.clear()
    prepared.flush(shadow.layout, None)
    assert f"{folder}/writable-5/kept/deep" in flushed


def test_what_was_brought_up_ahead_is_taken_as_it_is(shadow: Shadow) -> None:
    copies = prepared.Copies()
    copies.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    copies.bring_up(shadow.layout)
    assert shadow.left() == []
    taken = copies.take(shadow.layout)
    assert taken is not None
    assert look(taken.path) == look(shadow.state)
    assert Path("db") in taken.changed, "nobody has flushed it yet"
    assert copies.take(shadow.layout) is None, "it is private to whoever took it"


def test_what_was_brought_up_ahead_of_another_version_is_not_used(shadow: Shadow) -> None:
    copies = prepared.Copies()
    copies.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    copies.bring_up(shadow.layout)
    append(shadow.state)
    shadow.apply()
    assert copies.take(shadow.layout) is None


def test_what_was_brought_up_by_a_process_that_has_ended_is_not_used(shadow: Shadow) -> None:
    copies = prepared.Copies()
    copies.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    copies.bring_up(shadow.layout)
    assert prepared.Copies().take(shadow.layout) is None


@pytest.mark.parametrize("forget", [prepared.Copies.prepare, prepared.Copies.drop])
def test_what_was_brought_up_ahead_goes_when_its_promotion_did_not_come(
    shadow: Shadow, forget: Callable[[prepared.Copies, Layout], None]
) -> None:
    copies = prepared.Copies()
    copies.prepare(shadow.layout)
    append(shadow.state)
    shadow.apply()
    before = {path.name for path in shadow.layout.folder.iterdir()} - {"prepared-1"}
    copies.bring_up(shadow.layout)
    forget(copies, shadow.layout)
    left = {path.name for path in shadow.layout.folder.iterdir()}
    assert left - {"prepared-2"} == before
