"""A batch in parts whose series are as old as each other, and few enough for the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from foreshadow.forecast.batch import Batch, Cells, Fit
from foreshadow.forecast.history import DAY, Array, Index

_MOST = 500


def parts_of(batch: Batch) -> Iterator[tuple[Index, Batch]]:
    """Yield the rows and the batch of each part, from its first value on.

    Series that began within the same day are taken together.
    """
    known = ~np.isnan(batch.values)
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)
    day = batch.cells_in(DAY)
    age = -(-first // day) * day if batch.cells > day else first
    for begin in np.unique(age):
        rows = np.flatnonzero(age == begin)
        part = batch.cut(int(min(begin, batch.cells - 1)), batch.cells)
        for at in range(0, len(rows), _MOST):
            mine = rows[at : at + _MOST]
            yield mine, part.only(mine)


class Parts:
    """The fits of the parts of a batch, as one."""

    def __init__(
        self, count: int, horizons: tuple[int, ...], parts: Sequence[tuple[Index, Fit]]
    ) -> None:
        self._count = count
        self._horizons = horizons
        self._parts = tuple(parts)

    @property
    def horizons(self) -> tuple[int, ...]:
        """Return how many cells ahead are predicted."""
        return self._horizons

    def refit(self) -> None:
        """Fit each part again."""
        for _, fit in self._parts:
            fit.refit()

    def update(self, values: Cells) -> None:
        """Take in new cells, shape (series, new cells), without fitting again."""
        for rows, fit in self._parts:
            fit.update(values[rows])

    def predict(self, levels: tuple[float, ...]) -> Array:
        """Return quantiles from the newest cell, shape (series, horizons, levels)."""
        found = np.empty((self._count, len(self._horizons), len(levels)))
        for rows, fit in self._parts:
            found[rows] = fit.predict(levels)
        return found

    def points(self) -> Cells:
        """Return what is expected from the newest cell, shape (series, horizons)."""
        found = np.empty((self._count, len(self._horizons)), dtype=np.float32)
        for rows, fit in self._parts:
            found[rows] = fit.points()
        return found
