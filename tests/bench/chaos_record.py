"""What came of each cell, kept in one file that several shards may write at the same time."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_RATE_SHARE = 0.9
"""A cell counts as run at a rate when at least this share of it was really sent."""


class Record:
    """The results by the name of the cell; the last one of a name counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def put(self, row: dict[str, Any]) -> None:
        """Keep a result."""
        with self._changing() as rows:
            rows[row["cell"]] = row

    def forget(self, names: Sequence[str]) -> None:
        """Forget the results of some cells."""
        with self._changing() as rows:
            for name in names:
                rows.pop(name, None)

    def well(self, rate: float) -> set[str]:
        """Return the cells that went well under at least this rate."""
        return {
            name
            for name, row in self._read().items()
            if not row["problems"] and row["reached"] and row["rate"] >= rate * _RATE_SHARE
        }

    def of(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the results of some cells, of those that ran."""
        rows = self._read()
        return [rows[name] for name in names if name in rows]

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self._path.exists():
            return {}
        return {row["cell"]: row for row in json.loads(self._path.read_text())}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Any]]]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            rows = self._read()
            yield rows
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
            draft.replace(self._path)
