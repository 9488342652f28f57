"""What a manifest from elsewhere must be before anything is done with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3

from foreshadow.domain.errors import SyncError
from foreshadow.domain.manifest import Entry, EntryKind

EMPTY = blake3(b"").hexdigest()
"""The digest of an empty file: one that is never asked for."""

_MAX_PATH = 4000
_MAX_NAME = 255
_MAX_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one version may hold.

    :ivar entries: paths of all kinds.
    :ivar file: bytes of one file.
    :ivar total: bytes of all files together.
    """

    entries: int = 100_000
    file: int = 64 * 2**30
    total: int = 256 * 2**30


def checked(entries: Iterable[Entry], limits: Limits) -> tuple[Entry, ...]:
    """Return the entries sorted by path, when all of them are well-formed and within the limits.

    :raises SyncError: at the first one that is not.
    """
    ordered = tuple(sorted(entries, key=lambda entry: entry.path))
    if len(ordered) > limits.entries:
        raise _refused(f"it has {len(ordered)} paths, more than {limits.entries}")
    directories = {entry.path for entry in ordered if entry.kind is EntryKind.DIRECTORY}
    seen: set[str] = set()
    total = 0
    for entry in ordered:
        problem = path_problem(entry.path) or _entry_problem(entry, limits)
        parent = entry.path.rpartition("/")[0]
        if problem is None and parent and parent not in directories:
            problem = "its parent is not a directory of the version"
        if problem is None and entry.path in seen:
            problem = "it is there twice"
        if problem is not None:
            raise _refused(f"{entry.path[:200]!r} is refused: {problem}")
        seen.add(entry.path)
        total += entry.size
    if total > limits.total:
        raise _refused(f"it has {total} bytes, more than {limits.total}")
    return ordered


def path_problem(path: str) -> str | None:
    """Return why a path may not stand in a version, or ``None``: relative and normalised only."""
    names = path.split("/")
    if "\0" in path or any(name in {"", ".", ".."} for name in names):
        return "it is not a relative, normalised path"
    if len(path) <= _MAX_NAME and path.isascii():
        return None
    if len(os.fsencode(path)) > _MAX_PATH or any(len(os.fsencode(n)) > _MAX_NAME for n in names):
        return "it is too long"
    return None


def link_problem(path: str, target: str) -> str | None:
    """Return why a symbolic link may not stand at ``path``, or ``None``.

    A target is relative and climbs only at its beginning, never above the root of the version. The
    parents of an entry are real directories, so climbing goes where it seems to; and since no link
    climbs behind a name, no chain of links can leave the root either.
    """
    if not target or "\0" in target or target.startswith("/"):
        return "its target is not relative"
    if len(os.fsencode(target)) > _MAX_PATH:
        return "its target is too long"
    names = [name for name in target.split("/") if name not in {"", "."}]
    climbs = 0
    while climbs < len(names) and names[climbs] == "..":
        climbs += 1
    if climbs > path.count("/"):
        return "its target leaves the state"
    if ".." in names[climbs:]:
        return "its target climbs behind a name"
    return None


def _entry_problem(entry: Entry, limits: Limits) -> str | None:
    if not 0 <= entry.mode <= 0o777:
        return "its mode is more than permissions"
    if entry.kind is EntryKind.FILE:
        return _file_problem(entry, limits)
    if entry.size or entry.digest or entry.mtime_ns:
        return "only a file has a size, a digest and a time"
    if entry.kind is EntryKind.SYMLINK:
        return link_problem(entry.path, entry.target)
    return "only a link has a target" if entry.target else None


def _file_problem(entry: Entry, limits: Limits) -> str | None:
    if entry.target:
        return "only a link has a target"
    if not 0 <= entry.size <= limits.file:
        return f"its size is not between 0 and {limits.file}"
    if len(entry.digest) != len(EMPTY) or set(entry.digest) - set("0123456789abcdef"):
        return "its digest is not a BLAKE3"
    if (entry.size == 0) != (entry.digest == EMPTY):
        return "its digest is not that of its size"
    if not -_MAX_INT64 <= entry.mtime_ns < _MAX_INT64:
        return "its time is out of range"
    return None


def _refused(problem: str) -> SyncError:
    return SyncError(problem, where="offered version", remedy="nothing of it was kept")
