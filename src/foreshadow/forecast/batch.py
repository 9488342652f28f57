"""Many metrics on one grid, and what every model that forecasts them has in common.

A model is fitted on a batch once in a while. Its fit then takes in new cells at each tick and
predicts from the newest, for all series at once. The same fit can be replayed over cells that came
later, which is how it is judged: at each origin it sees only what the tick would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from foreshadow.forecast.history import Array

Cells: TypeAlias = npt.NDArray[np.float32]
"""Values of cells. Single precision: ten thousand series of two weeks then take 160 MB."""


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of metric time that differs, such as a holiday: each name has one effect.

    :ivar start: seconds since 1970; ``end`` likewise.
    """

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Completed cells of many metrics: ``values[s, i]`` is the mean over ``(time - step, time]``.

    :ivar start: metric time at which the first cell ends.
    :ivar step: seconds.
    :ivar values: shape (series, cells), finite or ``nan`` for a gap.
    :ivar lowest: of each metric's domain, shape (series,); ``-inf`` where there is none.
    :ivar highest: likewise, ``inf`` where there is none.
    """

    start: float
    step: float
    values: Cells
    lowest: Array
    highest: Array

    @classmethod
    def of(cls, start: float, step: float, values: npt.ArrayLike) -> Batch:
        """Return the batch of metrics that are never negative and have no upper end."""
        cells = np.array(values, dtype=np.float32, ndmin=2)
        cells[~np.isfinite(cells)] = np.nan
        count = len(cells)
        return cls(start, step, cells, np.zeros(count), np.full(count, np.inf))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def cells(self) -> int:
        """Return how many cells there are."""
        return int(self.values.shape[1])

    @property
    def end(self) -> float:
        """Return the metric time at which the last cell ends."""
        return self.start + (self.cells - 1) * self.step

    def middles(self, first: int, last: int) -> Array:
        """Return the middle times of cells ``first`` to ``last - 1``, also beyond the end."""
        cells = np.arange(first, last, dtype=np.float64)
        return np.asarray(self.start + (cells - 0.5) * self.step)

    def cells_in(self, seconds: float) -> int:
        """Return how many cells make a stretch of time, at least one."""
        return max(1, round(seconds / self.step))

    def cut(self, first: int, last: int) -> Batch:
        """Return cells ``first`` to ``last - 1``."""
        return replace(
            self, start=self.start + first * self.step, values=self.values[:, first:last]
        )

    def only(self, rows: npt.NDArray[np.int64]) -> Batch:
        """Return some of the series."""
        return replace(
            self, values=self.values[rows], lowest=self.lowest[rows], highest=self.highest[rows]
        )

    def clipped(self, values: Cells) -> Cells:
        """Return values (series first) within each metric's domain."""
        shape = (len(self), *[1] * (values.ndim - 1))
        lowest, highest = (
            end.reshape(shape).astype(np.float32) for end in (self.lowest, self.highest)
        )
        return np.asarray(np.clip(values, lowest, highest), dtype=np.float32)


class Points(Protocol):
    """A fit of one method that gives points."""

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return what was said at origins ``first`` to the last cell of a batch.

        :param batch: the series of the fit, on their grid and from its beginning, with cells that
            may have come after it.
        :returns: shape (series, origins, horizons); the value at an origin rests on cells up to it.
        """
        ...
