"""Holt-Winters with a damped trend and an additive day, as a rival: what people would use."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.history import Array
from foreshadow.forecast.trigger.events import Reach

SETTINGS = ((0.2, 0.01, 0.2), (0.5, 0.01, 0.2), (0.8, 0.01, 0.1), (0.1, 0.001, 0.3))
"""Smoothing of level, trend and season; that which errs least in the first half is taken."""
DAMPING = 0.95


def highest_ahead(values: Array, period: int, reach: Reach) -> Array:
    """Return at each cell the highest forecast within reach of it, shape (n,)."""
    known = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    filled = values[known]
    count = len(SETTINGS)
    alpha, beta, gamma = (np.array(column) for column in zip(*SETTINGS, strict=True))
    level, trend = np.full(count, filled[:period].mean()), np.zeros(count)
    season = np.tile((filled[:period] - filled[:period].mean())[:, None], (1, count))
    out = np.full((len(values), count), np.nan)
    error = np.zeros(count)
    ahead = np.arange(reach.first, reach.last + 1)
    damped = np.cumsum(DAMPING ** np.arange(1, reach.last + 1))[ahead - 1]
    half = len(values) // 2
    for cell in range(period, len(values)):
        place = cell % period
        expected = level + DAMPING * trend + season[place]
        miss = filled[cell] - expected
        if cell < half:
            error += np.abs(miss)
        level = level + DAMPING * trend + alpha * miss
        trend = DAMPING * trend + alpha * beta * miss
        season[place] += gamma * (1 - alpha) * miss
        coming = level + damped[:, None] * trend + season[(cell + ahead) % period]
        out[cell] = coming.max(axis=0)
    return out[:, int(error.argmin())]
