"""All parts of a batch as one fit: what tests and benchmarks look at, series by series."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.fleet import Fleet
from foreshadow.forecast.history import Array
from foreshadow.forecast.intervals import LEVELS


class Whole:
    """The fits of the parts of a batch."""

    def __init__(self, batch: Batch, horizons: tuple[int, ...], model: Fleet | None = None) -> None:
        self._count = len(batch)
        self._horizons = horizons
        self.parts = (model or Fleet()).fit(batch, horizons)

    def refit(self) -> None:
        """Fit each part again."""
        for _, fit in self.parts:
            fit.refit()

    def update(self, values: Cells) -> None:
        """Take in new cells, shape (series, new cells), without fitting again."""
        for rows, fit in self.parts:
            fit.update(values[rows])

    def predict(self, levels: tuple[float, ...] = LEVELS) -> Array:
        """Return quantiles from the newest cell, shape (series, horizons, levels)."""
        found = np.empty((self._count, len(self._horizons), len(levels)))
        for rows, fit in self.parts:
            found[rows] = fit.predict(levels)
        return found

    def points(self) -> Cells:
        """Return what is expected from the newest cell, shape (series, horizons)."""
        found = np.empty((self._count, len(self._horizons)), dtype=np.float32)
        for rows, fit in self.parts:
            found[rows] = fit.points()
        return found
