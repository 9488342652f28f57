"""What metrics were so far, kept in the ledger, so that a tick asks a source for what is new alone.

Two weeks of ten thousand metrics are forty million samples, which no source gives every five
minutes. What was fetched is kept in stretches of a day, each a matrix of metrics by cells, and only
the newest is written again. The last hour is asked for anew at each tick, as samples may be late; a
sample that is later than that is not seen. Values are kept to seven digits.
"""

from __future__ import annotations

import base64
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.protocols import MetricSource
from foreshadow.domain.series import Series, Window
from foreshadow.operations.context import Context

_STRETCH = 86400.0
_LATE = 3600.0
"""Metric seconds before the newest kept cell that are asked for again."""
_RENEWED = 43200.0
"""Wall seconds after which what is still in use is marked as such, or it would be pruned."""
_FORGOTTEN = 7 * 86400.0
"""Metric seconds after which a metric that nobody asked for is left out."""
_MOST_KEPT_FOR_ONE = 4
"""Where less than one of so many kept metrics is asked for, asking the source is cheaper."""

_Cells = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Kept:
    """The metrics of one query over a window, as far as they are kept.

    :ivar rows: by the name of the resource.
    :ivar values: ``nan`` for a gap and for what was not fetched yet, shape (metrics, cells).
    :ivar through: metric time up to which each was fetched, shape (metrics,).
    :ivar renewed_at: wall time at which it was last marked as in use.
    :ivar sparse: some that nobody asks for any more were left out.
    """

    rows: dict[str, int]
    values: _Cells
    through: npt.NDArray[np.float64]
    renewed_at: float = -math.inf
    sparse: bool = False


class Past:
    """The kept metrics of a ledger.

    :param write: false where nothing may be written, as in check mode.
    """

    def __init__(self, context: Context, write: bool) -> None:
        self._context = context
        self._write = write

    def fetch(
        self, source: MetricSource, what: str, query: str, names: Sequence[str], window: Window
    ) -> dict[str, Series]:
        """Return what a source would answer, having asked it only for what is not kept yet.

        :param what: tells everything but the window that the answer depends on.
        :raises MetricsError: when the source does not answer or cannot be read.
        """
        grid = window.grid()
        if not grid:
            return {}
        key = f"past:{blake3(f'{what} {window.step:g}'.encode()).hexdigest(16)}"
        kept = self._read(key, window)
        if len(kept.rows) > _MOST_KEPT_FOR_ONE * len(names):
            return source.fetch(query, names, window)
        touched = self._extend(kept, source, query, names, window)
        if self._write:
            self._keep(key, kept, window, touched)
        return _series(kept, names, window)

    def _extend(
        self,
        kept: _Kept,
        source: MetricSource,
        query: str,
        names: Sequence[str],
        window: Window,
    ) -> float:
        """Bring the metrics to the end of a window; return the metric time that changed first."""
        strangers = [name for name in names if name not in kept.rows]
        if strangers:
            kept.rows |= {name: len(kept.rows) + k for k, name in enumerate(strangers)}
            more = np.full((len(strangers), kept.values.shape[1]), np.nan, dtype=np.float32)
            kept.values = np.concatenate([kept.values, more])
            kept.through = np.concatenate([kept.through, np.full(len(strangers), -np.inf)])
        by_start: dict[float, list[str]] = {}
        for name in names:
            start = max(window.start, float(kept.through[kept.rows[name]]) - _LATE)
            by_start.setdefault(start, []).append(name)
        first = window.grid()[0]
        for start, some in by_start.items():
            asked = Window(MetricTime(start), window.end, window.step)
            for name, series in source.fetch(query, some, asked).items():
                place = round((series.start - first) / window.step)
                fresh = np.asarray(series.values, dtype=np.float32)
                row = kept.values[kept.rows[name], place : place + len(fresh)]
                np.copyto(row, fresh, where=~np.isnan(fresh))
            kept.through[[kept.rows[name] for name in some]] = window.end
        return -math.inf if kept.sparse else min(by_start)

    def _read(self, key: str, window: Window) -> _Kept:
        """Return what is kept of a window; nothing where a part is missing or cannot be read."""
        grid = window.grid()
        try:
            return self._joined(key, window)
        except (ValueError, LookupError, OSError, EOFError, BadZipFile):
            return _Kept({}, np.empty((0, len(grid)), dtype=np.float32), np.empty(0))

    def _joined(self, key: str, window: Window) -> _Kept:
        with self._opened(key) as file:
            rows = {str(name): row for row, name in enumerate(file["names"].tolist())}
            since, renewed_at = float(file["since"]), float(file["renewed_at"])
            through = file["through"].copy()
        grid = window.grid()
        if since > grid[0] or window.end < through.max(initial=-np.inf):
            raise ValueError("of another time")
        values = np.full((len(rows), len(grid)), np.nan, dtype=np.float32)
        kept = _Kept(rows, values, through, renewed_at)
        newest = through.max(initial=-np.inf)
        for k, span in _stretches(window):
            if grid[span.start] > newest:
                break
            with self._opened(f"{key} {k}") as file:
                before, first = file["values"], int(file["first"])
            place = first - round(grid[0] / window.step)
            skip = max(0, -place)
            part = before[:, skip : skip + span.stop - span.start]
            values[: len(part), place + skip : place + skip + part.shape[1]] = part
        return _without_forgotten(kept, window.end)

    def _opened(self, key: str) -> np.lib.npyio.NpzFile:
        text = self._context.ledger.cached(key)
        if text is None:
            raise LookupError(key)
        return _opened(text)

    def _keep(self, key: str, kept: _Kept, window: Window, since: float) -> None:
        """Write the stretches that changed from a metric time on, and how far they reach."""
        ledger, now, grid = self._context.ledger, self._context.now(), window.grid()
        zero = round(grid[0] / window.step)
        texts = {
            f"{key} {k}": _text(values=kept.values[:, span], first=np.array(zero + span.start))
            for k, span in _stretches(window)
            if grid[span.stop - 1] > since
        }
        if now - kept.renewed_at >= _RENEWED:
            kept.renewed_at = now
            ledger.renew_cached([f"{key} {k}" for k, _ in _stretches(window)], WallTime(now))
        texts[key] = _text(
            names=np.array(list(kept.rows)),
            through=kept.through,
            since=np.array(grid[0]),
            renewed_at=np.array(kept.renewed_at),
        )
        ledger.put_all_cached(texts, now)


def _without_forgotten(kept: _Kept, now: float) -> _Kept:
    used = kept.through >= now - _FORGOTTEN
    if used.all():
        return kept
    names = [name for name, row in kept.rows.items() if used[row]]
    rows = {name: row for row, name in enumerate(names)}
    return _Kept(rows, kept.values[used], kept.through[used], kept.renewed_at, sparse=True)


def _stretches(window: Window) -> Iterator[tuple[int, slice]]:
    """Yield each day of a window: its number since 1970, and its cells within the window."""
    grid = np.asarray(window.grid())
    days = np.ceil(grid / _STRETCH - 1e-9).astype(np.int64)
    edges = np.flatnonzero(np.diff(days)) + 1
    for first, last in zip([0, *edges.tolist()], [*edges.tolist(), len(grid)], strict=True):
        yield int(days[first]), slice(first, last)


def _series(kept: _Kept, names: Sequence[str], window: Window) -> dict[str, Series]:
    start, found = window.grid()[0], {}
    for name in names:
        row = kept.values[kept.rows[name]]
        if not np.isnan(row).all():
            found[name] = Series(start, window.step, array("f", row.tobytes()))
    return found


def _text(**arrays: npt.NDArray[np.generic]) -> str:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return base64.b64encode(file.getbuffer()).decode("ascii")


def _opened(text: str) -> np.lib.npyio.NpzFile:
    file: np.lib.npyio.NpzFile = np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
    return file
