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
from foreshadow.forecast.skill import Skill, beaten, skill

SPAN = 8 * DAY
ENOUGH = 24
"""Errors of one horizon without which no interval is given."""
LEAST_COVERAGE_OF_A_DAY = 0.4
"""One day's errors are fewer, and more alike: half of what is claimed may yet be chance."""
MOST_GROWTH = 2.5
"""How many times as much as on a usual day the forecast may err on the last one."""
BLOCK = 0.25
"""Days of errors that count as one fact: what went wrong in the morning went wrong all morning."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Errors over the last days, all of shape (origins, horizons) where nothing else is said.

    :ivar errors: observed minus predicted, ``nan`` where there was no observation.
    :ivar spreads: the spread that was expected at each target, which scales the errors.
    :ivar naive_errors: of each naive forecast, by its name.
    :ivar coverage: share of observations inside the 80 % interval; ``None`` while unknown.
    :ivar days: how many days the origins span.
    :ivar origins: indices of the last known cell, shape (origins,).
    :ivar inside: 1 where the observation was inside the 80 % interval that was known then, 0 where
        it was not, ``nan`` while there was none.
    """

    errors: Array
    spreads: Array
    naive_errors: dict[str, Array]
    coverage: float | None
    days: float
    origins: Index
    inside: Array

    def skill(self) -> Skill | None:
        """Return the skill against the naive forecast that is hardest to beat."""
        return min(self.skills(), key=lambda found: found.lower, default=None)

    def skills(self, since: int = 0) -> list[Skill]:
        """Return the skill against each naive forecast, from an origin on."""
        block = max(1, round(len(self.errors) * BLOCK / max(self.days, BLOCK)))
        found = (
            skill(self.errors[since:], theirs[since:], name, block)
            for name, theirs in self.naive_errors.items()
        )
        return [each for each in found if each is not None]

    def last_day(self) -> int | None:
        """Return the first origin of the last day; ``None`` while there is no more than that."""
        count = len(self.errors)
        newest = count - round(count / self.days) if self.days > 0 else 0
        return newest if newest > 0 else None

    def changed(self) -> str | None:
        """Return how the last day went against what history had taught, as a sentence, or ``None``.

        A week of good days would hide one bad day for days, and just then nothing may act.
        """
        newest = self.last_day()
        if newest is None:
            return None
        if (worse := beaten(self.skills(newest))) is not None:
            return worse
        inside = self.inside[newest:]
        covered = float(np.nanmean(inside)) if (~np.isnan(inside)).any() else 1.0
        if covered < LEAST_COVERAGE_OF_A_DAY:
            return f"on the last day the 80 % interval covered {covered:.0%} of what came"
        per_day = max(1, round(len(self.errors) / self.days))
        usual = _daily(self.errors[newest % per_day : newest], per_day)
        last = _daily(self.errors[newest:], len(self.errors) - newest)
        if len(usual) and len(last) and last[0] > MOST_GROWTH * np.median(usual):
            return (
                f"on the last day the forecast erred {last[0] / max(np.median(usual), 1e-12):.1f} "
                "times as much as on a usual one: the metric has changed its ways"
            )
        return None


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
    counted = ~np.isnan(judged)
    said = naive(history.values[None], history.step, origins, horizons)
    seen = padded[folds[-1].targets(origins)]
    return Backtest(
        errors=errors,
        spreads=spreads,
        naive_errors={name: seen - value[0] for name, value in said.items()},
        coverage=float(judged[counted].mean()) if counted.any() else None,
        days=len(origins) * history.step / DAY,
        origins=origins,
        inside=judged,
    )


def _daily(errors: Array, per_day: int) -> Array:
    """Return the mean absolute error of each day that has one, oldest first."""
    means = []
    for first in range(0, len(errors), per_day):
        day = np.abs(errors[first : first + per_day])
        if (~np.isnan(day)).any():
            means.append(float(np.nanmean(day)))
    return np.asarray(means)


def _index(history: History, time: float) -> int:
    return round((time - history.start) / history.step)


def _inside(scaled: Array, known: Array) -> Array:
    """Return which errors lie in the interval that the known errors give, horizon by horizon.

    1 for inside, 0 for outside, ``nan`` where nothing was observed or too few errors were known.
    """
    judged = np.full(scaled.shape, np.nan)
    for k, (error, past) in enumerate(zip(scaled.T, known.T, strict=True)):
        past = past[~np.isnan(past)]
        if len(past) >= ENOUGH:
            lower, upper = quantiles(past, INTERVAL)
            judged[:, k] = np.where(np.isnan(error), np.nan, (error >= lower) & (error <= upper))
    return judged
