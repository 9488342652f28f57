"""Histories that tests forecast from."""

import numpy as np

from foreshadow.forecast.history import DAY, Array, History

STEP = 3600.0
START = 1_500_336_000.0  # a Tuesday, 00:00 UTC, and a boundary of the fits


def hours(days: float) -> Array:
    return np.arange(round(days * 24), dtype=np.float64)


def rhythm(days: float, noise: float = 0.02, seed: int = 1) -> Array:
    """A day with a peak, a weekend at half of it, and noise with a memory of some hours."""
    hour = hours(days)
    middle = START + (hour - 0.5) * STEP
    of_day, of_week = middle % DAY / DAY, (middle // DAY + 4) % 7
    level = 0.35 - 0.25 * np.cos(2 * np.pi * of_day) - 0.05 * np.cos(4 * np.pi * of_day)
    shocks = np.random.default_rng(seed).normal(0, noise, len(hour))
    wander = np.zeros(len(hour))
    for k in range(1, len(hour)):
        wander[k] = 0.8 * wander[k - 1] + shocks[k]
    return np.maximum(np.where(np.isin(of_week, (0, 6)), 0.5, 1.0) * level + wander, 0.01)


def history(values: Array) -> History:
    return History(START, STEP, values)
