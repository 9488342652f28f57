"""What the fleet model claimed in the last week: enough to see what alarms a limit had raised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.history import WEEK, Index
from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.trigger.events import REARM

KEPT = (0.5, 0.8, 0.95)
"""Quantiles of which claims are kept; those between them are interpolated."""
_PLACES = [int(np.argmin(np.abs(np.asarray(LEVELS) - level))) for level in KEPT]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was claimed of one series.

    :ivar highest: oldest first, ``nan`` before the first claim, shape (stretches,).
    :ivar ages: how many cells before the newest one the last one of each stretch is, likewise.
    :ivar cells: of a stretch.
    """

    highest: Cells
    ages: Index
    cells: int


@dataclass(slots=True)
class Claims:
    """The highest quantiles within the horizon that were forecast, by stretches of an hour.

    An alarm rests for as long, so nothing shorter has to be told apart.

    :ivar highest: oldest first, ``nan`` before the first claim, shape (series, stretches, KEPT).
    :ivar ticks: how many origins are in the last stretch; all others have ``cells``.
    :ivar cells: of a stretch.
    """

    highest: Cells
    ticks: int
    cells: int

    @classmethod
    def none(cls, batch: Batch) -> Claims:
        """Return the claims about a batch before there is any."""
        cells = batch.cells_in(REARM)
        count = batch.cells_in(WEEK) // cells
        empty = np.full((len(batch), count, len(KEPT)), np.nan, dtype=np.float32)
        return cls(empty, cells, cells)

    def note(self, points: Cells, quantiles: Cells) -> None:
        """Take in what was said from the next origin.

        :param points: shape (series, horizons).
        :param quantiles: of the errors at LEVELS, shape (series, horizons, levels).
        """
        said = (points[:, :, None] + quantiles[:, :, _PLACES]).max(axis=1)
        if self.ticks < self.cells:
            self.ticks += 1
            self.highest[:, -1] = np.fmax(self.highest[:, -1], said)
        else:
            self.ticks = 1
            self.highest[:, :-1] = self.highest[:, 1:]
            self.highest[:, -1] = said

    def of(self, row: int, quantile: float) -> Claimed:
        """Return what was claimed of one series at a quantile."""
        levels = np.asarray(KEPT)
        high = int(np.clip(np.searchsorted(levels, quantile), 1, len(KEPT) - 1))
        share = min((quantile - levels[high - 1]) / (levels[high] - levels[high - 1]), 1.0)
        below, above = self.highest[row, :, high - 1], self.highest[row, :, high]
        older = self.ticks + self.cells * np.arange(self.highest.shape[1] - 1, dtype=np.int64)
        ages = 1 + np.concatenate([older[::-1], [0]])
        return Claimed(below + np.float32(share) * (above - below), ages, self.cells)
