"""The writable copy that a promotion will need, made while the service still runs elsewhere.

``prepared-N`` in a resource's folder is a flushed copy of version N. The promotion then applies
what the versions since then changed, and nothing else: while requests are held, that is all that
there is to copy. What does not come out as its manifest has it is never used.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from foreshadow.agent.layout import Layout, copy_file, copy_tree
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.delta import difference
from foreshadow.sync.durable import remove_tree, sync_all, sync_path
from foreshadow.sync.versions import Versions, intact

_PREFIX = "prepared-"


def prepare(layout: Layout) -> None:
    """Copy the current version and flush the copy; one that is there already stays. Blocks.

    :raises OSError: when the disk is full or does not take it.
    """
    versions = Versions(layout.folder)
    current = versions.current()
    wanted = layout.folder / f"{_PREFIX}{current.number}"
    for other in _found(layout):
        if other != wanted:
            remove_tree(other)
    if wanted.is_dir() or not current.root:
        return
    partial = layout.folder / ".preparing"
    remove_tree(partial)
    copy_tree(versions.tree(current.number), partial)
    if _is_exactly(partial, current.entries):
        sync_all(_below(partial), partial)
        partial.rename(wanted)
    else:
        remove_tree(partial)  # a service wrote into the version: all is copied then


@dataclass(frozen=True, slots=True)
class Taken:
    """A prepared copy that was brought up to the current version.

    :ivar path: private to whoever took it, and to be moved.
    :ivar changed: what was changed in it and is to be flushed, relative to it.
    """

    path: Path
    changed: tuple[Path, ...]


def take(layout: Layout) -> Taken | None:
    """Return a prepared copy, brought up to the current version; ``None`` when there is none.

    It has another name from here on, so that one which was left half-way is never taken for what
    it was. Blocks.
    """
    versions = Versions(layout.folder)
    current, kept = versions.current(), {v.number: v for v in versions.kept()}
    taken = layout.folder / ".taken"
    for path in _found(layout):
        base = kept.get(int(path.name.removeprefix(_PREFIX)))
        if base is None or current.number not in kept:
            continue
        remove_tree(taken)
        path.rename(taken)
        try:
            tree = versions.tree(current.number)
            return Taken(taken, _bring_up(taken, base.entries, current.entries, tree))
        except OSError:
            remove_tree(taken)  # such as a directory that may not be written: all is copied then
    return None


class Copies:
    """The copies of one agent, and which of them have been brought up to a final delta ahead.

    That is done while the promotion is on its way. It is known for as long as this process lives:
    what is not flushed, nobody else may rely upon. Blocks.
    """

    def __init__(self) -> None:
        self._ahead: dict[Path, tuple[int, Taken]] = {}

    def prepare(self, layout: Layout) -> None:
        """Make a copy of the current version. See :func:`prepare`."""
        self._forget(layout)
        prepare(layout)

    def bring_up(self, layout: Layout) -> None:
        """Bring a prepared copy up to the current version; where that fails :meth:`take` does."""
        self._forget(layout)
        with contextlib.suppress(OSError):
            taken = take(layout)
            if taken is not None:
                self._ahead[layout.folder] = (layout.version(), taken)

    def take(self, layout: Layout) -> Taken | None:
        """Return a copy that is what the current version is. See :func:`take`."""
        version, taken = self._ahead.pop(layout.folder, (0, None))
        if taken is not None and version == layout.version() and taken.path.is_dir():
            return taken
        return take(layout)

    def drop(self, layout: Layout) -> None:
        """Remove what was prepared."""
        self._forget(layout)
        drop(layout)

    def _forget(self, layout: Layout) -> None:
        _, taken = self._ahead.pop(layout.folder, (0, None))
        if taken is not None:
            remove_tree(taken.path)


def flush(layout: Layout, changed: Iterable[Path] | None) -> None:
    """Bring the writable copy of a promotion to the disk, and the links that lead to it. Blocks.

    The version that it was made from need not be there: a primary does not read it, and what a
    power cut made of it shows before it is built upon.

    :param changed: what is not there yet, relative to the copy; ``None``: all of it.
    :raises OSError: when the disk does not take it.
    """
    live = layout.live.resolve()
    paths = _below(live) if changed is None else [live / path for path in changed]
    sync_all([path for path in paths if path.exists()], live)
    sync_path(layout.folder)


def drop(layout: Layout) -> None:
    """Remove what was prepared."""
    for path in _found(layout):
        remove_tree(path)


def _found(layout: Layout) -> list[Path]:
    return [
        path
        for path in layout.folder.glob(f"{_PREFIX}*")
        if path.name.removeprefix(_PREFIX).isdecimal() and path.is_dir()
    ]


def _bring_up(
    tree: Path, before: tuple[Entry, ...], after: tuple[Entry, ...], source: Path
) -> tuple[Path, ...]:
    """Apply what differs, and return what has to be flushed for it, relative to the tree.

    :raises OSError: when it cannot be applied, or did not come out as it is meant.
    """
    delta = difference(before, after)
    for path in sorted(delta.removals, reverse=True):
        remove_tree(tree / path)
    for entry in sorted(delta.upserts, key=lambda entry: entry.path):
        _put(tree / entry.path, entry, source / entry.path)
    # A directory's mode comes last: it may forbid what was done in it.
    for entry in delta.upserts:
        if entry.kind is EntryKind.DIRECTORY:
            (tree / entry.path).chmod(entry.mode)
    changed = _with_parents(delta.upserts, after)
    if len(intact(tree, changed)) != len(changed):
        raise OSError("a prepared copy did not become what it was brought to")
    paths = [*delta.removals, *(entry.path for entry in delta.upserts)]
    flushed = {Path(path) for path in paths if not (tree / path).is_symlink()}
    return tuple(flushed | {Path(path).parent for path in paths})


def _put(path: Path, entry: Entry, source: Path) -> None:
    if entry.kind is EntryKind.DIRECTORY and path.is_dir() and not path.is_symlink():
        return
    remove_tree(path)
    match entry.kind:
        case EntryKind.DIRECTORY:
            path.mkdir(mode=0o700)
        case EntryKind.SYMLINK:
            path.symlink_to(entry.target)
        case EntryKind.FILE:
            copy_file(str(source), str(path))


def _with_parents(upserts: Iterable[Entry], entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the upserts and the directories above them, in the order of their paths."""
    wanted = {entry.path for entry in upserts}
    for path in list(wanted):
        while path := path.rpartition("/")[0]:
            wanted.add(path)
    return tuple(entry for entry in entries if entry.path in wanted)


def _is_exactly(tree: Path, entries: tuple[Entry, ...]) -> bool:
    there = sum(len(folders) + len(files) for _, folders, files in os.walk(tree))
    return there == len(entries) == len(intact(tree, entries))


def _below(tree: Path) -> list[Path]:
    """Return the directories and files of a tree, itself included."""
    found = []
    for folder, _, names in os.walk(tree):
        found.append(Path(folder))
        found += [path for name in names if not (path := Path(folder, name)).is_symlink()]
    return found
