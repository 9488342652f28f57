"""The series that forecasts are judged on, as batches of one grid."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foreshadow.domain.clock import parse_instant
from foreshadow.forecast.batch import Batch
from foreshadow.forecast.history import DAY, Array

AHEAD = (900.0, 1800.0, 3600.0)
HISTORY = 21 * DAY
LONGEST_TEST = 7 * DAY


@dataclass(frozen=True)
class Trial:
    """Series of one group and one grid.

    :ivar first: the first cell that is forecast; what comes before is known.
    """

    group: str
    names: tuple[str, ...]
    batch: Batch
    first: int

    @property
    def horizons(self) -> tuple[int, ...]:
        """Return the cells ahead that stand for 15, 30 and 60 minutes."""
        return tuple(max(1, round(ahead / self.batch.step)) for ahead in AHEAD)

    @property
    def scales(self) -> Array:
        """Return the mean absolute change since the same time yesterday, shape (series,)."""
        lag, values = self.batch.cells_in(DAY), self.batch.values
        return np.asarray(np.nanmean(np.abs(values[:, lag:] - values[:, :-lag]), axis=1))

    def came(self) -> Array:
        """Return what came after each origin, shape (series, origins, horizons)."""
        values = np.pad(
            self.batch.values, ((0, 0), (0, max(self.horizons))), constant_values=np.nan
        )
        origins = np.arange(self.first - 1, self.batch.cells - 1)
        return np.stack([values[:, origins + horizon] for horizon in self.horizons], axis=2)


def trials(folder: Path) -> Iterator[Trial]:
    """Yield every series of a folder that changes at all: the last week, or third, is the test."""
    for path in sorted(folder.glob("*.csv.gz")):
        found: dict[tuple[float, int], list[tuple[str, Array]]] = defaultdict(list)
        for name, step, start, values in _columns(path):
            if np.nanstd(values) > 0:
                kept = values[-round((HISTORY + LONGEST_TEST) / step) :]
                start += (len(values) - len(kept)) * step
                found[start, len(kept)].append((name, kept))
        for (start, cells), series in found.items():
            batch = Batch.of(start, step, np.stack([values for _, values in series]))
            test = round(min(LONGEST_TEST, cells * step / 3) / step)
            names = tuple(name for name, _ in series)
            yield Trial(path.name.split(".")[0], names, batch, cells - test)


def _columns(path: Path) -> Iterator[tuple[str, float, float, Array]]:
    """Yield name, step, start and values of each column, from its first to its last value."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    times = np.array([parse_instant(row[0]) for row in rows])
    step = float(np.median(np.diff(times)))
    for column in range(1, len(head)):
        cells = np.array([float(row[column] or "nan") for row in rows])
        present = np.flatnonzero(np.isfinite(cells))
        if len(present) < 2:
            continue
        first, last = int(present[0]), int(present[-1])
        place = np.round((times[first : last + 1] - times[first]) / step).astype(np.int64)
        values = np.full(int(place[-1]) + 1, np.nan)
        values[place] = cells[first : last + 1]
        yield head[column], step, float(times[first]), values
