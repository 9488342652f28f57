"""What a course does not know: the recent past, as one ridge per series and horizon, in batch.

A course is any guess at the usual (a structure, or the values one period before). What a series
does beyond it is regressed directly, for each horizon: on the newest residuals and their means, on
the residuals at the target's slot one hour, one day and one week before, and on how far the course
itself moves until then. A gap counts as "as the course says".
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.batch import Cells
from foreshadow.forecast.history import DAY, WEEK

_LAGS = (*range(13), 18, 24)
_MEANS = (1800.0, 3600.0, 3 * 3600.0, 6 * 3600.0, DAY)
_SLOTS = (7200.0, DAY, WEEK)
_RIDGE = 3.0
_CLIP = 8.0
_CONSTANT = 0.3
_BLOCK = 8
"""Series whose features are held at once: they then fit into the cache."""
_THREADS = min(4, os.cpu_count() or 1)
_FEW = 16
"""Origins up to which the features of all series fit into the cache."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the regressions are made.

    :ivar rounds: of pulling in outliers, which moves a mean towards a median.
    :ivar cut: mean absolute errors beyond which one is pulled in.
    """

    ridge: float = _RIDGE
    rounds: int = 6
    cut: float = 0.8


@dataclass(frozen=True, slots=True)
class Directs:
    """The regressions of many series.

    :ivar scale: of the residuals, shape (series, 1).
    :ivar level: mean of the course in units of the scale, likewise.
    :ivar weights: shape (series, horizons, features).
    """

    step: float
    horizons: tuple[int, ...]
    scale: Cells
    level: Cells
    weights: Cells

    def fill(self, residuals: Cells) -> Cells:
        """Return residuals as features take them: scaled, tamed, gaps at zero."""
        return np.asarray(np.clip(np.nan_to_num(residuals / self.scale), -_CLIP, _CLIP))

    def ahead(self, filled: Cells, course: Cells, first: int) -> Cells:
        """Return the expected residuals after origins from ``first`` on.

        :param filled: see :meth:`fill`, shape (series, cells).
        :param course: from the cell ``first`` to the largest horizon beyond the last one.
        :returns: shape (series, origins, horizons).
        """
        count = filled.shape[1]
        found = np.empty((len(filled), count - first, len(self.horizons)), dtype=np.float32)
        size = _BLOCK if count - first > _FEW else len(filled)
        for rows in _blocks(len(filled), size):
            scale = self.scale[rows]
            table = _Features(
                filled[rows],
                course[rows] / scale,
                self.level[rows],
                self.step,
                self.horizons,
                first,
            )
            for k in range(len(self.horizons)):
                weights = self.weights[rows, k][:, None, :]
                found[rows, :, k] = (weights @ table.of(k))[:, 0] * scale
        return found


def fit(
    residuals: Cells, course: Cells, step: float, horizons: tuple[int, ...], settings: Settings
) -> Directs:
    """Return the regressions of residuals on cells up to the end, both shape (series, cells)."""
    count = residuals.shape[1]
    known = ~np.isnan(residuals)
    squares = np.where(known, residuals, 0) ** 2
    scale = np.sqrt(squares.sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1), 1)[:, None])
    scale = np.where(scale > 0, scale, 1.0).astype(np.float32)
    level = course.mean(axis=1, keepdims=True) / scale
    filled = Directs(step, horizons, scale, level, np.empty(0, dtype=np.float32)).fill(residuals)
    last = count - max(horizons)

    def block(rows: slice) -> Cells:
        table = _Features(filled[rows], course[rows] / scale[rows], level[rows], step, horizons, 0)
        mine = []
        for k, horizon in enumerate(horizons):
            x = np.ascontiguousarray(table.of(k)[:, :, :last])
            mine.append(_robust(x, filled[rows, horizon : horizon + last], settings))
        return np.stack(mine, axis=1)

    with ThreadPoolExecutor(_THREADS) as pool:  # numpy lets go of the lock where it computes
        weights = np.concatenate(list(pool.map(block, _blocks(len(residuals), _BLOCK))))
    return Directs(step, horizons, scale, level, weights)


def _robust(x: Cells, y: Cells, settings: Settings) -> Cells:
    """Return ridge coefficients of rows, x of shape (series, features, cells)."""
    flipped = x.transpose(0, 2, 1)
    power = (x @ flipped).astype(np.float64)
    power += settings.ridge * np.eye(x.shape[1])
    inverse = np.linalg.inv(power).astype(np.float32)
    pulled = y
    for turn in range(settings.rounds):
        found = np.asarray(inverse @ (x @ pulled[:, :, None]))
        if turn == settings.rounds - 1:
            break
        said = (found.transpose(0, 2, 1) @ x)[:, 0]
        away = y - said
        limit = settings.cut * np.abs(away).mean(axis=1, keepdims=True)
        pulled = said + np.clip(away, -limit, limit)
    return np.asarray(found[:, :, 0], dtype=np.float32)


def _blocks(count: int, size: int) -> list[slice]:
    return [slice(begin, begin + size) for begin in range(0, count, max(1, size))]


class _Features:
    """The features of some series at origins from ``first`` on."""

    def __init__(
        self,
        filled: Cells,
        course: Cells,
        level: Cells,
        step: float,
        horizons: tuple[int, ...],
        first: int,
    ) -> None:
        self._filled, self._course, self._level = filled, course, level
        self._horizons, self._first = horizons, first
        self._slots = [max(1, round(slot / step)) for slot in _SLOTS if slot >= step]
        means = [cells for cells in (round(span / step) for span in _MEANS) if cells > 1]
        count = filled.shape[1]
        self._common = len(_LAGS) + len(means) + 1
        size = self._common + len(self._slots) + 2
        self._table = np.empty((len(filled), size, count - first), dtype=np.float32)
        for k, lag in enumerate(_LAGS):
            self._put(k, lag)
        if means:
            self._put_means(means)
        self._table[:, self._common - 1] = _CONSTANT

    def _put_means(self, means: list[int]) -> None:
        count = self._filled.shape[1]
        if self._first == count - 1:  # a tick: running totals would cost more than they save
            for k, cells in enumerate(means):
                total = self._filled[:, max(0, count - cells) :].sum(axis=1)
                self._table[:, len(_LAGS) + k, 0] = total / cells
            return
        origin = max(0, self._first + 1 - max(means))
        total = np.zeros((len(self._filled), count - origin + 1))
        np.cumsum(self._filled[:, origin:], axis=1, out=total[:, 1:])
        ends = np.arange(self._first + 1, count + 1) - origin
        for k, cells in enumerate(means):
            begins = np.maximum(ends - cells, 0)
            mean = (total[:, ends] - total[:, begins]) / cells
            self._table[:, len(_LAGS) + k] = mean

    def of(self, k: int) -> Cells:
        """Return the features for one horizon, shape (series, features, origins)."""
        horizon = self._horizons[k]
        origins = self._table.shape[2]
        for j, slot in enumerate(self._slots):
            self._put(self._common + j, -(-horizon // slot) * slot - horizon)
        ahead = self._course[:, horizon : horizon + origins]
        np.subtract(ahead, self._course[:, :origins], out=self._table[:, -2])
        self._table[:, -1] = ahead - self._level
        return self._table

    def _put(self, column: int, lag: int) -> None:
        """Set a column to what was ``lag`` cells before each origin, zero before the beginning."""
        count, first = self._filled.shape[1], self._first
        missing = max(0, min(lag - first, count - first))
        self._table[:, column, :missing] = 0
        self._table[:, column, missing:] = self._filled[:, first + missing - lag : count - lag]
