"""Conformal quantiles: how wrong the forecast was lately, is how wrong it may be now."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.history import Array

LEVELS = (0.01, 0.025, 0.05, *(k / 20 for k in range(2, 19)), 0.95, 0.975, 0.99)
"""The quantiles that an outlook holds."""

INTERVAL = (0.1, 0.9)
"""The quantiles that bound the 80 % interval."""

_SMALLEST = 1e-12
"""The least spread, in base units: an error is divided by it, and must stay a number."""


def quantiles(errors: Array, levels: tuple[float, ...]) -> Array:
    """Return quantiles of past errors, each as far out as a sample of this size demands.

    :param errors: observed minus predicted, shape (n,), without ``nan``.
    :returns: shape (levels,), rising with the level.
    """
    wanted = np.asarray(levels)
    outward = (len(errors) + 1) / len(errors)
    position = np.where(wanted >= 0.5, wanted * outward, 1 - (1 - wanted) * outward)
    return np.asarray(np.quantile(errors, np.clip(position, 0.0, 1.0)))


def hourly_spread(times: Array, residuals: Array) -> Array:
    """Return the usual size of residuals by hour of day, shape (24,).

    Rush hours err more than nights. Each hour is taken with its neighbours, and half way back to
    the mean over the day.

    :param times: in seconds since 1970, shape (n,); ``residuals`` may have ``nan``.
    """
    known = ~np.isnan(residuals)
    hour = (times[known] // 3600 % 24).astype(np.int64)
    size = np.bincount(hour, np.abs(residuals[known]), 24)
    count = np.bincount(hour, minlength=24).astype(np.float64)
    size = size + np.roll(size, 1) + np.roll(size, -1)
    count = count + np.roll(count, 1) + np.roll(count, -1)
    overall = float(size.sum() / count.sum()) or 1.0
    usual = count.mean()
    return np.asarray(np.maximum((size + usual * overall) / (count + usual), _SMALLEST))
