"""With which quantiles forecasts were given, until it is known whether they held."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.batch import Cells

_MOST = 12
"""Forecasts of a horizon that are remembered one by one; of a longer horizon, evenly some."""


class Issued:
    """The quantiles of forecasts whose cell is still to come.

    A forecast for twelve cells ahead is judged twelve cells later, by the interval that it had. To
    judge it by the interval of today would be too kind: that has met eleven errors much like it.

    :ivar tables: one after the other for each horizon, shape (kept, series, levels).
    :ivar ticks: how many forecasts were noted.
    """

    def __init__(self, horizons: tuple[int, ...], tables: Cells, ticks: int) -> None:
        self._horizons = horizons
        self._strides = [-(-horizon // _MOST) for horizon in horizons]
        ends = np.cumsum(_kept(horizons))
        self._rings = [
            tables[end - size : end] for end, size in zip(ends, _kept(horizons), strict=True)
        ]
        self.tables, self.ticks = tables, ticks

    @classmethod
    def all_with(cls, horizons: tuple[int, ...], quantiles: Cells) -> Issued:
        """Return forecasts that were all given with the same quantiles.

        :param quantiles: shape (series, horizons, levels).
        """
        tables = np.repeat(quantiles.transpose(1, 0, 2), _kept(horizons), axis=0)
        return cls(horizons, tables, 0)

    def note(self, quantiles: Cells) -> None:
        """Note the quantiles of the newest forecast, shape (series, horizons, levels)."""
        for k, (ring, stride) in enumerate(zip(self._rings, self._strides, strict=True)):
            if self.ticks % stride == 0:
                ring[self.ticks // stride % len(ring)] = quantiles[:, k]
        self.ticks += 1

    def met(self) -> Cells:
        """Return by horizon the quantiles of the forecast that the next cell is to be held against.

        That of a horizon beyond twelve cells may be some cells older, which moves it little.

        :returns: shape (series, horizons, levels).
        """
        found = [
            ring[(self.ticks - horizon) // stride % len(ring)]
            for ring, stride, horizon in zip(
                self._rings, self._strides, self._horizons, strict=True
            )
        ]
        return np.stack(found, axis=1)


def _kept(horizons: tuple[int, ...]) -> list[int]:
    """Return how many tables each horizon needs."""
    return [-(-(horizon - 1) // -(-horizon // _MOST)) + 1 for horizon in horizons]
