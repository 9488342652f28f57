"""What the state of an instance is: a sorted list of entries, and one hash over all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from blake3 import blake3


class EntryKind(StrEnum):
    """What may be in a state: nothing else is ever sent or accepted."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One path of a state.

    :ivar path: relative, ``/``-separated, normalised, under the version's root.
    :ivar mode: permission bits only.
    :ivar size: bytes of a file; 0 otherwise.
    :ivar digest: BLAKE3 of a file's content in hex, of a large one over those of its blocks;
        empty otherwise.
    :ivar mtime_ns: modification time of a file; 0 otherwise.
    :ivar target: of a symbolic link; empty otherwise.
    """

    path: str
    kind: EntryKind
    mode: int
    size: int = 0
    digest: str = ""
    mtime_ns: int = 0
    target: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A version of a state: entries sorted by path, each path once.

    :ivar profile: the workload profile of the version, as :mod:`foreshadow.sync` captured it; it
        is carried beside the files, so that a profile that moved is not a file that changed.
    """

    entries: tuple[Entry, ...]
    profile: tuple[dict[str, Any], ...] = ()

    @property
    def root(self) -> str:
        """Return the BLAKE3 over all entries in hex: equal roots are equal files."""
        hasher = blake3()
        for entry in self.entries:
            line = [entry.path, entry.kind.value, entry.mode, entry.size, entry.digest,
                    entry.mtime_ns, entry.target]  # fmt: skip
            hasher.update(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        return hasher.hexdigest()
