"""What is known at an origin about the way to a limit: margins, slopes, what usually came next.

Each feature of an origin is made of cells up to it alone. Levels are relative to the limit and in
units of the metric's own spread, so that one model serves series of any size.
"""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.baselines import held
from foreshadow.forecast.history import DAY, WEEK, Array, Index
from foreshadow.forecast.trigger.events import Reach, onsets, within

HOUR = 3600.0
PERIODS = (*(h * HOUR for h in (1, 2, 3, 4, 6, 8, 12)), DAY, WEEK)
"""Rhythms in which breaches may recur, seconds."""
_REPEATS = 7
_DAYS = (1, 2, 3, 4, 5, 6, 7)
_MEANS = (900.0, 1800.0, HOUR, 3 * HOUR, DAY)
_SLOPES = (600.0, 900.0, 1800.0, HOUR, 2 * HOUR)
_HIGHS = (HOUR, 6 * HOUR, DAY)
_FAR = 20.0
VERSION = "1"
"""Part of the key of every model that is kept: change it with anything that changes a feature."""
NAMES = (
    "margin",
    *(f"mean {s:g}" for s in _MEANS),
    *(f"slope {s:g}" for s in _SLOPES),
    *(f"high {s:g}" for s in _HIGHS),
    "wobble",
    "jump",
    *(f"{k} days ago" for k in (1, 2, 3, 7)),
    *(f"{k} days ago, lifted" for k in (1, 2, 7)),
    "usual day",
    "usual day, lifted",
    "highest day",
    "days that pass",
    "days that vary",
    "rise in days",
    *(f"onsets each {p / HOUR:g} h" for p in PERIODS),
    "onsets about then, daily",
    "onsets of a day",
    "onsets of a week",
    "share above, day",
    "share above, week",
    "since onset",
    "since breach",
    "since onset in periods",
    "regularity",
)


def features(values: Array, threshold: float, step: float, origins: Index) -> Array:
    """Return the features of origins, shape (origins, len(NAMES)); 32-bit, ``nan`` is unknown.

    :param values: a history, shape (n,), ``nan`` for gaps.
    :param origins: indices of the last known cell.
    """
    filled = held(values[None])[0]
    total = np.concatenate([[0.0], np.cumsum(filled)])
    spread = _spread(filled, total, step)[origins]
    reach = Reach.of(step)

    def cells(seconds: float) -> int:
        return max(1, round(seconds / step))

    def mean(seconds: float, at: Index = origins) -> Array:
        end = np.maximum(at + 1, 1)
        begin = np.maximum(end - cells(seconds), 0)
        return np.asarray((total[end] - total[begin]) / (end - begin))

    def margin(level: Array) -> Array:
        return np.asarray(np.clip((level - threshold) / spread, -_FAR, _FAR))

    now = filled[origins]
    columns = [margin(now)]
    columns += [margin(mean(s)) for s in _MEANS]
    recent = mean(600.0)
    columns += [(recent - mean(600.0, origins - cells(s))) / spread for s in _SLOPES]
    highs = {s: _high(filled, cells(s)) for s in _HIGHS}
    columns += [margin(highs[s][origins]) for s in _HIGHS]
    columns.append((highs[HOUR][origins] - mean(HOUR)) / spread)
    columns.append((now - recent) / spread)
    ahead = _high(filled, reach.last - reach.first + 1)
    past = {d: _shifted(ahead, origins + reach.last - cells(d * DAY)) for d in _DAYS}
    lift = {
        d: mean(1800.0)
        - np.where(origins >= cells(d * DAY), mean(1800.0, origins - cells(d * DAY)), np.nan)
        for d in _DAYS
    }
    columns += [margin(past[d]) for d in (1, 2, 3, 7)]
    columns += [margin(past[d] + lift[d]) for d in (1, 2, 7)]
    every = np.stack([past[d] for d in _DAYS])
    lifted = np.stack([past[d] + lift[d] for d in _DAYS])
    known = ~np.isnan(every)
    count = np.maximum(known.sum(axis=0), 1)
    usual = np.where(known, every, 0.0).sum(axis=0) / count
    usual[~known.any(axis=0)] = np.nan
    raised = np.where(known, lifted, 0.0).sum(axis=0) / count
    raised[~known.any(axis=0)] = np.nan
    columns += [margin(usual), margin(raised)]
    columns.append(margin(np.max(np.where(known, every, -np.inf), axis=0)))
    columns.append(np.where(known, every > threshold, 0.0).sum(axis=0) / count)
    columns.append(np.sqrt(np.where(known, (every - usual) ** 2, 0.0).sum(axis=0) / count) / spread)
    columns.append((raised - mean(1800.0)) / spread)
    columns += _recurrence(filled, threshold, step, origins, reach)
    return np.stack(columns, axis=1).astype(np.float32)


def _recurrence(
    filled: Array, threshold: float, step: float, origins: Index, reach: Reach
) -> list[Array]:
    """Return how breaches came and went before each origin."""
    begun = onsets(filled, threshold, step)
    settled = begun + 3  # an onset is known once its fourth cell is
    found: list[Array] = []
    for period in PERIODS:
        lag = max(1, round(period / step))
        skip = -(-reach.last // lag) if lag < reach.last + 3 else 1
        seen, weight = np.zeros(len(origins)), np.zeros(len(origins))
        for k in range(skip, skip + _REPEATS):
            back = np.asarray(origins - k * lag)
            worth = np.where(back >= 0, 0.8**k, 0.0)
            last = min(reach.last, k * lag - 3)
            hit = within(begun, back, reach.first, last) > 0 if last >= reach.first else back < -1
            seen, weight = seen + worth * hit, weight + worth
        found.append(np.where(weight > 0, seen / np.maximum(weight, 1e-9), np.nan))
    day, week = round(DAY / step), round(WEEK / step)
    wide, some = np.zeros(len(origins)), np.zeros(len(origins))
    slack = max(1, round(1800.0 / step))
    for k in range(1, 15):
        back = origins - k * day
        some += back >= 0
        wide += (back >= 0) & (within(begun, back, reach.first - slack, reach.last + slack) > 0)
    found.append(np.where(some > 0, wide / np.maximum(some, 1), np.nan))
    for span in (day, week):
        possible = np.minimum(span, origins + 1) / day
        found.append(within(settled, origins, -span + 1, 0) / possible)
    above = np.concatenate([[0.0], np.cumsum(filled > threshold)])
    for span in (day, week):
        first = np.maximum(origins + 1 - span, 0)
        found.append((above[origins + 1] - above[first]) / (origins + 1 - first))
    place = np.searchsorted(settled, origins, side="right") - 1
    newest_onset = begun[np.maximum(place, 0)] if len(begun) else np.zeros(len(origins))
    since = np.where(place >= 0, (origins - newest_onset) * step / HOUR, np.nan)
    found.append(np.minimum(since, 24.0 * 8))
    marks = np.where(filled > threshold, np.arange(len(filled)), -1)
    newest = np.maximum.accumulate(marks)[origins]
    found.append(np.where(newest >= 0, (origins - newest) * step / HOUR, np.nan))
    gaps = np.diff(begun) * step / HOUR
    typical, even = np.full(len(begun), np.nan), np.full(len(begun), np.nan)
    for k in range(3, len(begun)):
        lately = gaps[max(0, k - 8) : k]
        typical[k] = np.median(lately)
        even[k] = np.median(np.abs(lately - typical[k])) / typical[k]
    if len(begun):
        where = np.maximum(place, 0)
        found.append(np.where(place >= 0, since / typical[where], np.nan))
        found.append(np.where(place >= 0, even[where], np.nan))
    else:
        found += [np.full(len(origins), np.nan)] * 2
    return found


def _spread(filled: Array, total: Array, step: float) -> Array:
    """Return the standard deviation over the week up to each cell, never quite zero."""
    squares = np.concatenate([[0.0], np.cumsum(filled**2)])
    end = np.arange(1, len(filled) + 1)
    begin = np.maximum(end - round(WEEK / step), 0)
    count = end - begin
    level = (total[end] - total[begin]) / count
    variance = (squares[end] - squares[begin]) / count - level**2
    floor = 1e-3 * np.abs(level) + 1e-9
    return np.asarray(np.maximum(np.sqrt(np.maximum(variance, 0.0)), floor))


def _high(filled: Array, cells: int) -> Array:
    """Return the highest of the ``cells`` cells up to each, shape (n,)."""
    out, done = filled.copy(), 1
    while done < cells:
        move = min(done, cells - done)
        out[move:] = np.maximum(out[move:], out[:-move])
        done += move
    return out


def _shifted(values: Array, at: Index) -> Array:
    return np.where(at >= 0, values[np.clip(at, 0, len(values) - 1)], np.nan)
