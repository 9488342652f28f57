"""Whether a version is still as it was applied, without a look at each file in each round."""

from __future__ import annotations

import contextlib
import os
import random
import time
from pathlib import Path

from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.reading import Stamp, open_file, read_steady
from foreshadow.sync.versions import intact
from foreshadow.sync.watch import LARGE, TreeWatch

_LOOK_EVERY = 300.0
"""Seconds after which each file is looked at although the kernel tells of nothing."""


def verify(path: Path, entry: Entry) -> bool:
    """Read a file of a version as a whole; one that is damaged no longer counts as intact. Blocks.

    :return: whether it has the content that was applied; also when it has gone meanwhile.
    """
    with contextlib.suppress(OSError), open_file(path) as descriptor:
        if Stamp.of(os.fstat(descriptor)).mtime_ns != entry.mtime_ns:
            return True  # that it is no longer as it was applied shows already
        if read_steady(path).digest != entry.digest:
            os.utime(descriptor, ns=(0, 0))
            return False
    return True


class Sound:
    """Remembers what was found of one tree, for as long as nothing happens in it."""

    def __init__(self) -> None:
        self._watch = TreeWatch(lambda _: False)
        self._about: tuple[Path, tuple[Entry, ...]] | None = None
        self._good: dict[str, Entry] = {}
        self._always: tuple[Entry, ...] = ()
        self._look_at = 0.0

    def intact(self, tree: Path, entries: tuple[Entry, ...]) -> dict[str, Entry]:
        """Return the entries that a tree still has as they were applied, by their path."""
        if self._is_known(tree, entries):
            return self._good
        self._about = None
        with contextlib.suppress(OSError):  # without a tree, nothing of it is there
            self._watch.begin(tree)
            self._watch.add(tree, "")
            for entry in entries:
                if entry.kind is EntryKind.DIRECTORY:
                    self._watch.add(tree / entry.path, entry.path)
        self._good = intact(tree, entries)
        if len(self._good) == len(entries):
            self._about = (tree, entries)
            self._always = tuple(
                e for e in entries if e.kind is EntryKind.DIRECTORY or e.size >= LARGE
            )
            self._look_at = time.monotonic() + _LOOK_EVERY * random.uniform(0.8, 1.2)
        return self._good

    def _is_known(self, tree: Path, entries: tuple[Entry, ...]) -> bool:
        if self._about is None or self._about[0] != tree or self._about[1] is not entries:
            return False
        try:
            quiet = self._watch.is_quiet(tree)
        except OSError:
            return False
        if not quiet or time.monotonic() >= self._look_at:
            return False
        return len(intact(tree, self._always)) == len(self._always)
