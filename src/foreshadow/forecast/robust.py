"""The same trend and seasonalities as a ridge regression with Huber weights.

Prophet's likelihood is Gaussian: one holiday in three weeks bends the profile of its weekday by a
third. So what lies farther from this fit than the cut is pulled in before Prophet sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.history import DAY, Array
from foreshadow.forecast.structure import fourier

KNOTS = (0.16, 0.32, 0.48, 0.64, 0.8)
"""Changepoints of the trend as shares of the history, where Prophet puts its own five."""

_CUT = 1.5
_ROUNDS = 6
_DENSITY = 504.0
"""Points for which the penalties below were found: three weeks of hours."""
_SLOPE_PENALTY, _KNOT_PENALTY, _SEASON_PENALTY = 0.01, 0.1, 1.0


@dataclass(frozen=True, slots=True)
class Rough:
    """A robust fit.

    :ivar tamed: the values with outliers pulled in, shape (n,).
    :ivar spread: robust standard deviation of what is left.
    """

    tamed: Array
    spread: float


def fit(times: Array, values: Array, seasons: dict[str, tuple[float, int]]) -> Rough:
    """Return the robust fit.

    :param times: seconds since 1970, shape (n,), rising.
    :param values: standardised, without gaps, shape (n,).
    :param seasons: by name, the period in days and the Fourier order.
    """
    elapsed = (times - times[0]) / (times[-1] - times[0])
    weight = len(values) / _DENSITY
    penalty = [1e-6, _SLOPE_PENALTY * weight, *[_KNOT_PENALTY * weight] * len(KNOTS)]
    blocks = [np.ones((len(times), 1)), elapsed[:, None]]
    blocks += [np.maximum(elapsed - knot, 0.0)[:, None] for knot in KNOTS]
    for period, order in seasons.values():
        blocks.append(fourier(times / DAY, period, order))
        penalty += [_SEASON_PENALTY * weight] * (2 * order)
    design, ridge = np.hstack(blocks), np.diag(penalty)
    trust = np.ones(len(values))
    for _ in range(_ROUNDS):
        weighted = design * trust[:, None]
        found = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ values)
        fitted = design @ found
        away = np.abs(values - fitted)
        spread = 1.4826 * float(np.median(away)) + 1e-9
        trust = np.minimum(1.0, _CUT * spread / np.maximum(away, 1e-12))
    cut = _CUT * spread
    return Rough(np.clip(values, fitted - cut, fitted + cut), spread)
