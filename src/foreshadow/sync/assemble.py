"""Putting a version together from what is there and what was sent, in a private folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.durable import clone_file
from foreshadow.sync.entries import EMPTY
from foreshadow.sync.reading import read_steady
from foreshadow.sync.staging import Staging
from foreshadow.sync.versions import Versions, intact


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom the files of a version belong to, when it is not the agent's own user."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the kept versions still hold as it was applied.

    :ivar linkable: by entry, a file of a version that may be shared as it is.
    :ivar contents: by digest, a file of a version that has the content.
    """

    linkable: Mapping[Entry, str]
    contents: Mapping[str, str]


def holdings(versions: Versions) -> Holdings:
    """Return what the kept versions hold."""
    linkable: dict[Entry, str] = {}
    contents: dict[str, str] = {}
    for version in versions.kept():
        tree = versions.tree(version.number)
        for path, entry in intact(tree, version.entries).items():
            if entry.kind is EntryKind.FILE and entry.size:
                source = f"{tree}/{path}"
                linkable.setdefault(entry, source)
                contents.setdefault(entry.digest, source)
    return Holdings(linkable, contents)


def assemble(
    tree: Path, entries: tuple[Entry, ...], held: Holdings, staging: Staging, owner: Owner | None
) -> list[Path]:
    """Build the tree of a version, and return what has to be flushed of it, relative to it.

    Files that did not change share the inode of the version before; all others get one of their
    own. Nothing is written through a link: directories come first, links last.

    :raises SyncError: when what was built is not what was asked for.
    :raises OSError: when the disk is full or does not take it.
    """
    made: list[Path] = []
    for entry in _of(entries, EntryKind.DIRECTORY):
        (tree / entry.path).mkdir(mode=0o700)
        made.append(tree / entry.path)
    for entry in _of(entries, EntryKind.FILE):
        path = tree / entry.path
        if not _linked(held.linkable.get(entry), path):
            _filled(path, entry, held, staging)
            _finish(path, entry, owner)
            made.append(path)
    for entry in _of(entries, EntryKind.SYMLINK):
        (tree / entry.path).symlink_to(entry.target)
        if owner is not None:
            os.lchown(tree / entry.path, owner.uid, owner.gid)
    for entry in reversed(list(_of(entries, EntryKind.DIRECTORY))):
        _finish(tree / entry.path, entry, owner)
    if owner is not None:
        os.chown(tree, owner.uid, owner.gid)
    _check(tree, entries)
    return [path.relative_to(tree) for path in made]


def _of(entries: Iterable[Entry], kind: EntryKind) -> Iterator[Entry]:
    return (entry for entry in entries if entry.kind is kind)


def _linked(source: str | None, path: Path) -> bool:
    if source is None:
        return False
    with contextlib.suppress(OSError):  # too many links, or not allowed: a copy will do
        os.link(source, path, follow_symlinks=False)
        return True
    return False


def _filled(path: Path, entry: Entry, held: Holdings, staging: Staging) -> None:
    """Make the file with its content: sent ones are moved in as a link, held ones copied."""
    if entry.digest == EMPTY:
        path.touch(mode=0o600, exist_ok=False)
        return
    sent = staging.path(entry.digest)
    if sent.exists() and sent.stat().st_nlink == 1:
        os.link(sent, path, follow_symlinks=False)
        return
    source = sent if sent.exists() else Path(held.contents[entry.digest])
    clone_file(source, path)
    if read_steady(path).digest != entry.digest:
        os.utime(source, ns=(0, 0))  # it no longer counts as intact
        raise SyncError(
            "the content of an older version is damaged",
            where=f"state file {entry.path}",
            remedy="the next round sends it again",
        )


def _finish(path: Path, entry: Entry, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    path.chmod(entry.mode)
    if entry.kind is EntryKind.FILE:
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _check(tree: Path, entries: tuple[Entry, ...]) -> None:
    """Compare what is on disk with what was asked for: nothing missing, nothing more."""
    there = sum(len(folders) + len(files) for _, folders, files in os.walk(tree))
    good = intact(tree, entries)
    if there != len(entries) or len(good) != len(entries):
        odd = next((entry.path for entry in entries if entry.path not in good), "an extra path")
        raise SyncError(
            f"{odd} did not come out as it was sent",
            where="version that was put together",
            remedy="check that the state directory's file system keeps modes and times",
        )
