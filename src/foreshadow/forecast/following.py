"""One view of the usual course, followed cell by cell without fitting again."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.history import DAY, WEEK
from foreshadow.forecast.views import View, corrected

SPARE = DAY / 6
"""Seconds: room for new cells until the old ones are moved up."""


class Tail:
    """The newest cells of many series: appending one costs a column, now and then a copy."""

    def __init__(self, cells: Cells, keep: int, spare: int) -> None:
        kept = cells[:, -keep:]
        self._keep = keep
        self._used = kept.shape[1]
        self._cells = np.empty((len(cells), keep + spare), dtype=np.float32)
        self._cells[:, : self._used] = kept

    @property
    def cells(self) -> Cells:
        """Return all that is kept, shape (series, cells): a view, valid until the next append."""
        return self._cells[:, : self._used]

    def append(self, column: Cells) -> None:
        """Add one cell to each series, shape (series,)."""
        if self._used == self._cells.shape[1]:
            self._cells[:, : self._keep] = self._cells[:, self._used - self._keep :].copy()
            self._used = self._keep
        self._cells[:, self._used] = column
        self._used += 1


class Following:
    """A view, and the residuals that it needs of the recent past."""

    def __init__(self, view: View, batch: Batch) -> None:
        self.view = view
        self._most = max(view.directs.horizons)
        keep = batch.cells_in(WEEK) + 1
        first = max(0, batch.cells - keep)
        course = view.course(batch, first, batch.cells)
        filled = view.directs.fill(batch.values[:, first:] - course)
        self._filled = Tail(filled, keep, batch.cells_in(SPARE))

    def append(self, batch: Batch) -> None:
        """Take in the last cell of a batch."""
        course = self.view.course(batch, batch.cells - 1, batch.cells)
        self._filled.append(self.view.directs.fill(batch.values[:, -1:] - course)[:, 0])

    def points(self, batch: Batch) -> Cells:
        """Return the points from the last cell of a batch, shape (series, horizons)."""
        first = batch.cells - 1
        course = self.view.course(batch, first, batch.cells + self._most)
        filled = self._filled.cells
        return corrected(self.view, batch, filled, course, filled.shape[1] - 1)[:, 0]
