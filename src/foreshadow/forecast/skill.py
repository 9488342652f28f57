"""How much better than a naive forecast, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.baselines import LAST_VALUE
from foreshadow.forecast.history import Array

_LUCK_OF_A_DAY = 0.25
"""By how much one day may happen to resemble another more than the forecast of it."""
_NOTHING = 1e-12
"""Share of our errors below which those of a rival are none: the ratio would not be a number."""
SURE = 1.645
"""Standard errors between a skill and the lower end of its 90 % interval."""


@dataclass(frozen=True, slots=True)
class Skill:
    """1 - (mean absolute error / that of a rival), with the lower end of its 90 % interval.

    :ivar rival: the name of the naive forecast that it is measured against.
    """

    value: float
    lower: float
    rival: str


def skill(ours: Array, theirs: Array, rival: str, block: int) -> Skill | None:
    """Return the skill on the origins at which both speak; ``None`` when there are none.

    Neighbouring errors are alike, so whole blocks are left out in turn (a jackknife): that gives an
    interval for the ratio without pretending that each origin is a new fact. With fewer than three
    blocks the interval reaches down without end.

    :param ours: errors, shape (origins, horizons), ``nan`` where there was no observation.
    :param theirs: the rival's, of the same shape.
    :param block: origins that are left out together.
    """
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    if not both.any():
        return None
    starts = np.arange(0, len(ours), block)
    mine = np.add.reduceat(np.where(both, np.abs(ours), 0.0).sum(axis=1), starts)
    other = np.add.reduceat(np.where(both, np.abs(theirs), 0.0).sum(axis=1), starts)
    some = np.add.reduceat(both.sum(axis=1), starts) > 0
    mine, other = mine[some], other[some]
    if other.sum() <= _NOTHING * mine.sum():
        return Skill(-math.inf, -math.inf, rival)
    value = 1 - float(mine.sum() / other.sum())
    without = other.sum() - other
    count = len(mine)
    if count < 3 or (without <= _NOTHING * mine.sum()).any():
        return Skill(value, -math.inf, rival)
    left = 1 - (mine.sum() - mine) / without
    error = math.sqrt((count - 1) / count * float(((left - left.mean()) ** 2).sum()))
    return Skill(value, value - SURE * error, rival)


def beaten(last_day: Sequence[Skill]) -> str | None:
    """Return which naive forecast was better on the last day, as a sentence, or ``None``."""
    for today in last_day:
        if today.value < (0.0 if today.rival == LAST_VALUE else -_LUCK_OF_A_DAY):
            return f"on the last day the forecast was worse than the naive one ({today.rival})"
    return None
