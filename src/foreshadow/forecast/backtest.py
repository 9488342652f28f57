"""The rolling backtest: what the model would have said at each past cell, and how wrong it was.

Each origin is predicted by the fold of the newest boundary before it, from cells up to the origin
alone. The naive forecasts are judged at the same origins. Intervals are judged as they would have
been given: from the errors that were known at the fold's boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.baselines import naive
from foreshadow.forecast.history import DAY, Array, History, Index
from foreshadow.forecast.intervals import INTERVAL, quantiles
from foreshadow.forecast.model import Fold

SPAN = 8 * DAY
ENOUGH = 24
"""Errors of one horizon without which no interval is given."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Errors over the last days, all of shape (origins, horizons).

    :ivar errors: observed minus predicted, ``nan`` where there was no observation.
    :ivar spreads: the spread that was expected at each target, which scales the errors.
    :ivar naive_errors: of each naive forecast, by its name.
    :ivar coverage: share of observations inside the 80 % interval; ``None`` while unknown.
    :ivar days: how many days the origins span.
    """

    errors: Array
    spreads: Array
    naive_errors: dict[str, Array]
    coverage: float | None
    days: float

    def skill(self) -> tuple[float, str] | None:
        """Return 1 - error / error of the best naive forecast, and the name of that one.

        Mean absolute errors, on the origins at which both speak; ``None`` when there are none.
        """
        found: list[tuple[float, str]] = []
        for name, theirs in self.naive_errors.items():
            both = ~np.isnan(self.errors) & ~np.isnan(theirs)
            if both.any():
                ours = float(np.abs(self.errors[both]).mean())
                other = float(np.abs(theirs[both]).mean())
                found.append((1 - ours / other if other > 0 else -np.inf, name))
        return min(found, default=None)


def backtest(history: History, folds: list[Fold], horizons: tuple[int, ...]) -> Backtest:
    """Return the errors of folds on what came after their boundaries, until the next one."""
    padded = np.concatenate([history.values, np.full(max(horizons), np.nan)])
    ends = [fold.boundary for fold in folds[1:]] + [float(history.end)]
    empty = np.empty((0, len(horizons)))
    origins: Index = np.empty(0, dtype=np.int64)
    errors, spreads = empty, empty
    inside: list[Array] = []
    for fold, end in zip(folds, ends, strict=True):
        first, last = _index(history, fold.boundary), _index(history, end)
        mine = np.arange(max(first, 0), last, dtype=np.int64)
        targets = fold.targets(mine)
        error = padded[targets] - fold.predict(history, mine)
        spread = fold.spreads(history, mine)
        known = errors / spreads
        known[fold.targets(origins) > first] = np.nan
        inside.append(_inside(error / spread, known))
        errors, spreads = np.vstack([errors, error]), np.vstack([spreads, spread])
        origins = np.concatenate([origins, mine])
    judged = np.concatenate(inside)
    said = naive(history, origins, horizons)
    seen = padded[folds[-1].targets(origins)]
    return Backtest(
        errors=errors,
        spreads=spreads,
        naive_errors={name: seen - value for name, value in said.items()},
        coverage=float(judged.mean()) if len(judged) else None,
        days=len(origins) * history.step / DAY,
    )


def _index(history: History, time: float) -> int:
    return round((time - history.start) / history.step)


def _inside(scaled: Array, known: Array) -> Array:
    """Return which errors lie in the interval that the known errors give, horizon by horizon."""
    judged = [np.empty(0, dtype=np.bool_)]
    for error, past in zip(scaled.T, known.T, strict=True):
        past, error = past[~np.isnan(past)], error[~np.isnan(error)]
        if len(past) >= ENOUGH:
            lower, upper = quantiles(past, INTERVAL)
            judged.append((error >= lower) & (error <= upper))
    return np.concatenate(judged)
