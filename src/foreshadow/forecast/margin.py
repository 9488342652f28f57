"""The plain trigger: by how much a forecast has to pass its threshold, so that it may be believed.

What was forecast in the past days tells what alarms a limit would have raised, and which of them
nothing followed. The smallest margin that keeps those within the budget is the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.backtest import Backtest
from foreshadow.forecast.claims import Claimed
from foreshadow.forecast.history import DAY, Array, History, Index
from foreshadow.forecast.intervals import quantiles
from foreshadow.forecast.trigger.events import REARM, Flags, alarms

_STEPS = tuple(k / 4 for k in range(17))
"""Margins that are tried, in spreads of the forecast."""
_WEEK = 7.0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a forecast is held against.

    :ivar threshold: in the units of the history.
    :ivar quantile: that has to pass it.
    :ivar budget: false alarms in a week that a person bears.
    """

    threshold: float
    quantile: float
    budget: float


@dataclass(frozen=True, slots=True)
class Margin:
    """What is asked beyond the threshold.

    :ivar value: in the units of the history, 0 or more.
    :ivar alarms: that it would have raised in the past, and ``false`` of them with no breach after.
    :ivar problem: why no margin keeps the false alarms within the budget, as a sentence.
    """

    value: float = 0.0
    alarms: int = 0
    false: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What was forecast, moment by moment, and what came of it.

    :ivar highest: the quantile at its highest within the horizon, shape (moments,).
    :ivar able: whether an alarm was possible: below the threshold, and the outcome known.
    :ivar follows: whether a breach followed.
    :ivar rearm: moments after an alarm in which there is no second one.
    :ivar spread: of the forecast, in the units of the history.
    :ivar days: how long it was.
    """

    highest: Array
    able: Flags
    follows: Flags
    rearm: int
    spread: float
    days: float


def margin(history: History, past: Backtest, horizons: tuple[int, ...], limit: Limit) -> Margin:
    """Return the smallest margin whose false alarms over a backtest are within the budget."""
    ahead = max(horizons)
    levels = _levels(past, limit.quantile)
    if not len(past.origins) or levels is None:
        return Margin()
    seen = np.concatenate([history.values, np.full(ahead, np.nan)])
    points = seen[np.asarray(horizons)[None, :] + past.origins[:, None]] - past.errors
    highest = np.nanmax(np.where(np.isnan(points), -np.inf, points + past.spreads * levels), axis=1)
    rearm = max(ahead, round(REARM / history.step))
    able, follows = _outcomes(history.values, past.origins, 1, ahead + rearm, limit.threshold)
    spread = float(np.median(past.spreads))
    return _smallest(Past(highest, able, follows, rearm, spread, past.days), limit)


def margin_of_claims(
    history: History, claimed: Claimed, ahead: int, spread: float, limit: Limit
) -> Margin:
    """Return the smallest margin whose false alarms among claims are within the budget.

    :param history: up to the newest cell that was forecast from, even where that is a gap.
    :param ahead: cells of the horizon.
    :param spread: of the forecast, in the units of the history.
    """
    ends = len(history.values) - 1 - claimed.ages
    known = ~np.isnan(claimed.highest) & (ends >= claimed.cells - 1)
    ends, cells = ends[known], claimed.cells
    rearm = max(ahead, cells)
    able, follows = _outcomes(history.values, ends, cells, ahead + rearm, limit.threshold)
    days = len(ends) * cells * history.step / DAY
    highest = claimed.highest[known].astype(np.float64)
    return _smallest(Past(highest, able, follows, -(-rearm // cells), spread, days), limit)


def _outcomes(
    values: Array, ends: Index, cells: int, awaited: int, threshold: float
) -> tuple[Flags, Flags]:
    """Return at which moments an alarm was possible, and after which a breach followed.

    An alarm is false when no breach follows within the horizon, or within the re-arm time after it:
    to be early is not to be wrong.

    :param ends: the last cell of each moment, which has ``cells`` of them.
    :param awaited: cells after it in which a breach is awaited.
    """
    known = ~np.isnan(values)
    above = np.concatenate([[0], np.cumsum(known & (np.nan_to_num(values) > threshold))])
    some = np.concatenate([[0], np.cumsum(known)])
    begins = np.maximum(ends + 1 - cells, 0)
    until = np.minimum(ends + 1 + awaited, len(values))
    is_above = above[ends + 1] > above[begins]
    is_known = some[ends + 1] > some[begins]
    able = is_known & ~is_above & (ends + awaited < len(values))
    return able, np.asarray(above[until] > above[ends + 1])


def _smallest(past: Past, limit: Limit) -> Margin:
    """Return the smallest margin whose false alarms are within the budget.

    What some days count scatters by its root: one false alarm a week and two in the last one are no
    contradiction, so that much more is allowed.
    """
    expected = limit.budget * past.days / _WEEK
    allowed = max(1, math.floor(expected + math.sqrt(expected)))
    found = wrong = 0
    for share in _STEPS:
        asks = past.able & (past.highest > limit.threshold + share * past.spread)
        raised = alarms(asks, past.rearm)
        found, wrong = len(raised), int((~past.follows[raised]).sum())
        if wrong <= allowed:
            return Margin(share * past.spread, found, wrong)
    return Margin(
        _STEPS[-1] * past.spread,
        found,
        wrong,
        f"over the last {past.days:.1f} days {wrong} of its {found} alarms would have been false; "
        f"the budget is {limit.budget:g} in a week",
    )


def _levels(past: Backtest, quantile: float) -> Array | None:
    """Return by horizon the quantile of the scaled errors, shape (horizons,)."""
    scaled = past.errors / past.spreads
    every = scaled[~np.isnan(scaled)]
    if not len(every):
        return None
    columns = [column[~np.isnan(column)] for column in scaled.T]
    return np.array(
        [quantiles(c if len(c) else every, (quantile,))[0] for c in columns], dtype=np.float64
    )
