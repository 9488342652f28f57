"""Calibrated quantiles for many series: how wrong the forecast was lately, corrected as it goes.

Quantiles of the errors of the last days are a good first guess, and too narrow as soon as a series
grows wilder. So each quantile moves a little outward when an error passes it, and a little inward
when not, by so much that in the long run the promised share passes, whatever the series does:
``q += step * (level - passed)``, which is adaptive conformal inference (Gibbs and Candes 2021) on
the quantile itself (quantile tracking: Angelopoulos, Candes and Tibshirani 2023). The promise is
about the interval that a forecast was given with, so an error is held against that one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.batch import Cells
from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.issued import Issued

_PACE = 0.15
"""How far a quantile moves for an error, in mean absolute deviations. Further out errors pass
seldom, and each counts for more; the median stays, since following it would only add noise."""
_PATIENCE = 12
"""Cells ahead up to which it is the same. The answer to a move comes a horizon later: what moves on
at the same pace for longer than that swings around its aim."""
_FADE = 0.0005
"""How much of the spread a new error replaces: it follows within about a week of five minutes."""
_CHUNK = 256


@dataclass(slots=True)
class Tracking:
    """The errors to expect of many series, by horizon.

    :ivar quantiles: at LEVELS, rising, shape (series, horizons, levels).
    :ivar spread: mean absolute deviation of past errors, shape (series, horizons, 1).
    :ivar issued: the quantiles of forecasts whose errors are still to come.
    :ivar pace: of each horizon, shape (horizons, 1).
    """

    quantiles: Cells
    spread: Cells
    issued: Issued
    pace: Cells

    @classmethod
    def of(cls, errors: Cells, horizons: tuple[int, ...]) -> Tracking:
        """Return the tracking that begins with past errors.

        :param errors: observed minus predicted, ``nan`` where unknown, shape (series, ticks,
            horizons).
        :param horizons: cells ahead.
        """
        table = np.empty((len(errors), len(horizons), len(LEVELS)), dtype=np.float32)
        spread = np.empty((len(errors), len(horizons), 1), dtype=np.float32)
        for begin in range(0, len(errors), _CHUNK):
            rows = slice(begin, begin + _CHUNK)
            for k in range(len(horizons)):
                table[rows, k], spread[rows, k, 0] = _quantiles(errors[rows, :, k])
        return cls.going_on(table, spread, Issued.all_with(horizons, table), horizons)

    @classmethod
    def going_on(
        cls, quantiles: Cells, spread: Cells, issued: Issued, horizons: tuple[int, ...]
    ) -> Tracking:
        """Return the tracking that goes on from what was kept."""
        pace = np.minimum(1.0, _PATIENCE / np.asarray(horizons, dtype=np.float32))
        return cls(quantiles, spread, issued, pace[:, None].astype(np.float32))

    def issue(self) -> Cells:
        """Note that the newest forecasts have these quantiles; return those that fall due.

        :returns: the quantiles of the forecasts whose cell comes next, as :meth:`Issued.met`.
        """
        self.issued.note(self.quantiles)
        return self.issued.met()

    def learn(self, errors: Cells, due: Cells) -> None:
        """Move by the newest error of each horizon.

        :param errors: shape (series, horizons).
        :param due: the quantiles that these forecasts were given with, see :meth:`issue`.
        """
        known = ~np.isnan(errors)
        error = np.nan_to_num(errors)[:, :, None]
        passed = np.where(_UPPER, error <= due, error < due)
        move = self.pace * _STEPS * (_LEVELS - passed) * self.spread
        move *= known[:, :, None]
        self.spread += _FADE * known[:, :, None] * (np.abs(error) - self.spread)
        self.quantiles += move
        self.quantiles.sort(axis=2)


def covers(quantiles: Cells, errors: Cells, low: int, high: int) -> Cells:
    """Return 1 where errors (..., series, horizons) lie between two levels, ``nan`` for a gap."""
    inside = (quantiles[..., low] <= errors) & (errors <= quantiles[..., high])
    return np.where(np.isnan(errors), np.nan, inside).astype(np.float32)


_LEVELS = np.asarray(LEVELS, dtype=np.float32)
_UPPER = _LEVELS > 0.5
_STEPS = _PACE * np.abs(2 * _LEVELS - 1) / np.sqrt(4 * np.minimum(_LEVELS, 1 - _LEVELS))


def _quantiles(errors: Cells) -> tuple[Cells, Cells]:
    """Return quantiles and the mean absolute deviation, each as far out as the sample demands."""
    count = (~np.isnan(errors)).sum(axis=1)
    ordered = np.sort(errors, axis=1)  # nan comes last
    outward = (count + 1) / np.maximum(count, 1)
    level = _LEVELS[None, :]
    wide = np.where(level >= 0.5, level * outward[:, None], 1 - (1 - level) * outward[:, None])
    place = np.clip(wide, 0.0, 1.0) * np.maximum(count - 1, 0)[:, None]
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0)[:, None])
    share = (place - low).astype(np.float32)
    below, above = (np.take_along_axis(ordered, at, axis=1) for at in (low, high))
    table = np.nan_to_num(below + share * (above - below))
    middle = table[:, _LEVELS.searchsorted(0.5)][:, None]
    away = np.where(np.isnan(errors), 0, np.abs(errors - middle)).sum(axis=1)
    return table, (away / np.maximum(count, 1)).astype(np.float32)
