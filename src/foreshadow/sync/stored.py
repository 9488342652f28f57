"""A manifest on disk, as the source and the destination keep it beside its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.manifest import Entry, EntryKind
from foreshadow.sync.durable import replace_file


@dataclass(frozen=True, slots=True)
class Version:
    """A numbered manifest: numbers order versions, roots tell whether two are equal.

    :ivar captured_at: when the source began to capture it.
    """

    number: int
    root: str
    entries: tuple[Entry, ...]
    captured_at: WallTime


def write_version(path: Path, version: Version, *, durable: bool) -> None:
    """Write a version's manifest by a rename."""
    rows = [
        (e.path, e.kind.value, e.mode, e.size, e.digest, e.mtime_ns, e.target)
        for e in version.entries
    ]
    content = {
        "number": version.number,
        "root": version.root,
        "captured_at": version.captured_at,
        "entries": rows,
    }
    replace_file(path, json.dumps(content, separators=(",", ":")).encode(), durable=durable)


def read_version(path: Path) -> Version | None:
    """Return the version in a file, or ``None`` when there is none that can be read."""
    try:
        content = json.loads(path.read_bytes())
        return Version(
            int(content["number"]),
            str(content["root"]),
            _entries(content["entries"]),
            WallTime(float(content["captured_at"])),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _entries(rows: Sequence[Sequence[object]]) -> tuple[Entry, ...]:
    return tuple(Entry(path, EntryKind(kind), *rest) for path, kind, *rest in rows)  # type: ignore[arg-type]
