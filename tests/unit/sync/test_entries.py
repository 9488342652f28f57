"""What a hostile or broken manifest may not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.entries import Limits, checked, link_problem, path_problem

FILE, DIRECTORY, LINK = EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK
DIGEST = blake3(b"x").hexdigest()


def file(path: str = "f", **changes: object) -> Entry:
    values = {"mode": 0o644, "size": 1, "digest": DIGEST, "mtime_ns": 5} | changes
    return Entry(path, FILE, **values)  # type: ignore[arg-type]


def test_a_sound_manifest_comes_back_sorted() -> None:
    entries = (file("d/f"), Entry("d", DIRECTORY, 0o755), Entry("a", LINK, 0o777, target="d/f"))
    assert [entry.path for entry in checked(entries, Limits())] == ["a", "d", "d/f"]


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/.", "a/", "a\0b", "x" * 256],
)
def test_paths_out_of_the_version_are_refused(path: str) -> None:
    with pytest.raises(SyncError, match="is refused"):
        checked([file(path)], Limits())


@pytest.mark.parametrize(
    "entry",
    [
        file(mode=0o4755),
        file(mode=0o2755),
        file(size=-1),
        file(size=10**15),
        file(digest=""),
        file(digest="z" * 64),
        file(size=0),
        file(size=5, digest=blake3(b"").hexdigest()),
        file(target="f"),
        file(mtime_ns=2**63),
        file("missing/f"),
        Entry("d", DIRECTORY, 0o755, size=1),
        Entry("d", DIRECTORY, 0o755, target="x"),
        Entry("l", LINK, 0o777),
        Entry("l", LINK, 0o777, target="/etc/passwd"),
        Entry("l", LINK, 0o777, target="../up"),
        Entry("l", LINK, 0o777, target="a/../../up"),
        Entry("l", LINK, 0o777, target="x", digest=DIGEST),
    ],
)
def test_odd_entries_are_refused(entry: Entry) -> None:
    with pytest.raises(SyncError, match="is refused"):
        checked([entry], Limits())


def test_a_file_may_not_have_children_and_a_path_may_be_there_once() -> None:
    with pytest.raises(SyncError, match="parent is not a directory"):
        checked([file("f"), file("f/g")], Limits())
    with pytest.raises(SyncError, match="parent is not a directory"):
        checked([Entry("l", LINK, 0o777, target="d"), file("l/g")], Limits())
    with pytest.raises(SyncError, match="twice"):
        checked([file("f"), file("f", mode=0o600)], Limits())


def test_limits_hold_over_all_entries() -> None:
    entries = [file(f"f{number}", size=10) for number in range(5)]
    with pytest.raises(SyncError, match="more than 4"):
        checked(entries, Limits(entries=4))
    with pytest.raises(SyncError, match="50 bytes, more than 49"):
        checked(entries, Limits(total=49))
    with pytest.raises(SyncError, match="between 0 and 9"):
        checked(entries, Limits(file=9))


NAMES = st.sampled_from(["a", "b", "..", ".", "c"])


@given(
    links=st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join),
        st.lists(NAMES, min_size=1, max_size=5).map("/".join),
        max_size=4,
    )
)
def test_no_chain_of_accepted_links_leaves_the_root(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]
) -> None:
    root = tmp_path_factory.mktemp("links")
    for path, target in links.items():
        place = root / path
        parents = [place.parent, *place.parent.parents]
        if any(parent.is_symlink() for parent in parents) or place.is_dir():
            continue
        if any(parent.is_file() for parent in parents) or link_problem(path, target):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            real = Path(os.path.realpath(Path(folder, name)))
            assert real.is_relative_to(root.resolve())


def test_a_normal_path_is_no_problem() -> None:
    assert path_problem("a/b.c/é..x") is None
    assert link_problem("a/b", "../c/./d") is None
