"""Breaches as events: when one begins, which alarm foresaw it, and which alarm was false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from foreshadow.forecast.history import Array, Index

Flags: TypeAlias = npt.NDArray[np.bool_]

CLEAR = 1800.0
"""Seconds below the limit before a breach counts as a new one."""
EARLIEST, LATEST = 600.0, 3600.0
"""Seconds ahead at which an alarm is early enough to be of use, and near enough to be meant."""
REARM = 3600.0
"""Seconds after an alarm in which there is no second one."""
_OF, _ABOVE = 4, 3


@dataclass(frozen=True, slots=True)
class Reach:
    """The window ahead in which an alarm awaits a breach, in cells: ``first`` to ``last``."""

    first: int
    last: int

    @classmethod
    def of(cls, step: float) -> Reach:
        """Return the window on a grid: at least the next cell."""
        first = max(1, round(EARLIEST / step))
        return cls(first, max(first, round(LATEST / step)))


def onsets(values: Array, threshold: float, step: float) -> Index:
    """Return the cells at which a breach begins: rising indices.

    A breach is three of four cells above the threshold, the first of them included, after half an
    hour below it; a gap counts as below. The last three cells cannot begin one yet.

    :param values: shape (n,), ``nan`` for gaps.
    """
    above = np.nan_to_num(values, nan=-np.inf) > threshold
    total = np.concatenate([[0], np.cumsum(above)])
    index = np.arange(max(0, len(values) - _OF + 1))
    lasting = total[index + _OF] - total[index] >= _ABOVE
    before = np.maximum(index - max(1, round(CLEAR / step)), 0)
    clear = total[index] - total[before] == 0
    return np.asarray(index[above[index] & lasting & clear & (index > 0)], dtype=np.int64)


def within(events: Index, origins: Index, first: int, last: int) -> Index:
    """Return how many events lie ``first`` to ``last`` cells after each origin, (origins,)."""
    ends = np.searchsorted(events, origins + last, side="right")
    return np.asarray(ends - np.searchsorted(events, origins + first, side="left"))


def alarms(asks: Flags, rearm: int) -> Index:
    """Return the cells of the alarms, of which none follows another within ``rearm`` cells."""
    found: list[int] = []
    for cell in np.flatnonzero(asks):
        if not found or cell - found[-1] >= rearm:
            found.append(int(cell))
    return np.asarray(found, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Score:
    """How alarms went with onsets.

    :ivar caught: of each onset, whether an alarm foresaw it, shape (onsets,).
    :ivar leads: seconds from the first such alarm to the onset, of those that were caught.
    :ivar false: alarms that no onset followed.
    """

    caught: Flags
    leads: Array
    false: int


def score(raised: Index, begun: Index, step: float) -> Score:
    """Return which onsets were foreseen by which alarms; one just before an onset is not false."""
    reach = Reach.of(step)
    low = np.searchsorted(raised, begun - reach.last, side="left")
    caught = np.searchsorted(raised, begun - reach.first, side="right") > low
    leads = step * (begun[caught] - raised[low[caught]])
    false = within(begun, raised, 1, reach.last) == 0
    return Score(caught, leads.astype(np.float64), int(false.sum()))
