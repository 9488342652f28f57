"""What the fleet model has to beat, for many series at once: each gives points, none quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from foreshadow.forecast import direct, views
from foreshadow.forecast.baselines import (
    LAST_VALUE,
    SAME_TIME_LAST_WEEK,
    SAME_TIME_YESTERDAY,
    held,
    naive,
)
from foreshadow.forecast.batch import Batch, Cells, Points
from foreshadow.forecast.history import DAY

HOLT_WINTERS = "Holt-Winters"
SEASONAL_AR = "seasonal AR"

_LEVEL = (0.05, 0.2, 0.5, 0.8, 0.95)
_TREND = (0.0, 0.01)
_SEASON = (0.05, 0.2, 0.5)


def fit_all(batch: Batch, horizons: tuple[int, ...]) -> dict[str, Points]:
    """Return each rival, fitted on a batch."""
    naive_ones = (LAST_VALUE, SAME_TIME_YESTERDAY, SAME_TIME_LAST_WEEK)
    return {
        **{name: Naive(name, horizons) for name in naive_ones},
        HOLT_WINTERS: fit_holt_winters(batch, horizons),
        SEASONAL_AR: views.fit_period(batch, horizons, direct.Settings(rounds=1)),
    }


@dataclass(frozen=True, slots=True)
class Naive:
    """A naive method; where it does not know, what was seen last stays."""

    name: str
    horizons: tuple[int, ...]

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return points, see :class:`foreshadow.forecast.batch.Points`."""
        origins = np.arange(first, batch.cells, dtype=np.int64)
        said = naive(held(batch.values), batch.step, origins, self.horizons)
        mine = said[self.name]
        return np.where(np.isnan(mine), said[LAST_VALUE], mine)


@dataclass(frozen=True, slots=True)
class HoltWinters:
    """Additive exponential smoothing of level, trend and a daily season.

    :ivar rates: of level, trend and season, shape (series, 3).
    """

    horizons: tuple[int, ...]
    rates: Cells

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return points, see :class:`foreshadow.forecast.batch.Points`."""
        return _smoothed(batch, self.rates, self.horizons, first)


def fit_holt_winters(batch: Batch, horizons: tuple[int, ...]) -> HoltWinters:
    """Return the smoothing whose rates erred least on the second half of a batch.

    The rates are the best of a grid for each series, in the mean over the horizons.
    """
    grid = np.array(list(product(_LEVEL, _TREND, _SEASON)), dtype=np.float32)
    half, count = batch.cells // 2, len(batch)
    tried = np.tile(grid, (count, 1))
    rows = np.repeat(np.arange(count, dtype=np.int64), len(grid))
    said = _smoothed(batch.only(rows), tried, horizons, half)
    loss = np.zeros((count, len(grid)))
    for k, horizon in enumerate(horizons):
        came = batch.values[:, None, half + horizon :]
        mine = said[:, : came.shape[2], k].reshape(count, len(grid), -1)
        loss += np.nan_to_num(np.abs(came - mine)).sum(axis=2)
    return HoltWinters(horizons, grid[loss.argmin(axis=1)])


def _smoothed(batch: Batch, rates: Cells, horizons: tuple[int, ...], first: int) -> Cells:
    day = batch.cells_in(DAY)
    alpha, beta, gamma = np.ascontiguousarray(rates.T)
    start = held(batch.values[:, :day])
    level, trend = start.mean(axis=1), np.zeros(len(batch), dtype=np.float32)
    season = np.ascontiguousarray((start - level[:, None]).T)
    values = np.ascontiguousarray(batch.values.T)
    said = np.empty((batch.cells - first, len(horizons), len(batch)), dtype=np.float32)
    for cell in range(batch.cells):
        slot = cell % day
        usual = season[slot]
        error = values[cell] - (level + trend + usual)
        np.nan_to_num(error, copy=False)
        before = trend
        trend = trend + alpha * beta * error
        level = level + before + alpha * error
        season[slot] = usual + gamma * (1 - alpha) * error
        if cell >= first:
            for k, horizon in enumerate(horizons):
                ahead = level + horizon * trend
                said[cell - first, k] = ahead + season[(cell + horizon) % day]
    return np.asarray(batch.clipped(said.transpose(2, 0, 1)))
