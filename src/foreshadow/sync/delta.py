"""What turns one manifest into the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foreshadow.domain.manifest import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class Delta:
    """Entries that are new or differ, and paths that are gone."""

    upserts: tuple[Entry, ...]
    removals: tuple[str, ...]

    def files_changed(self, base: Mapping[str, Entry]) -> int:
        """Return how many files and links of ``base`` it touches; directories do not count."""
        touched = sum(entry.kind is not EntryKind.DIRECTORY for entry in self.upserts)
        gone = (base[path] for path in self.removals if path in base)
        return touched + sum(entry.kind is not EntryKind.DIRECTORY for entry in gone)


def difference(base: Iterable[Entry], new: Iterable[Entry]) -> Delta:
    """Return what turns ``base`` into ``new``."""
    before = {entry.path: entry for entry in base}
    after = {entry.path: entry for entry in new}
    upserts = tuple(entry for path, entry in after.items() if before.get(path) != entry)
    return Delta(upserts, tuple(path for path in before if path not in after))


def applied(base: Iterable[Entry], delta: Delta) -> tuple[Entry, ...]:
    """Return the entries of ``base`` with the delta applied, unordered and unchecked."""
    removed = set(delta.removals)
    kept = {entry.path: entry for entry in base if entry.path not in removed}
    return tuple((kept | {entry.path: entry for entry in delta.upserts}).values())
