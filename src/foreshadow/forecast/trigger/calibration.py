"""From scores to probabilities that come true as often as they say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from foreshadow.forecast.history import Array

_POINTS = 64


@dataclass(frozen=True, slots=True)
class Calibration:
    """A probability that never falls as the score rises, linear between its points.

    :ivar scores: rising; ``chances`` at them, in 0..1.
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]

    def probability(self, scores: Array) -> Array:
        """Return the probability at each score, shape (n,)."""
        return np.asarray(np.interp(scores, self.scores, self.chances))


def calibrate(scores: Array, truth: Array) -> Calibration:
    """Return the isotonic regression of what came on scores (pooling adjacent violators).

    :param truth: 0 or 1, shape (n,) as the scores; not those that the scores were fitted on.
    """
    order = np.argsort(scores, kind="stable")
    edges = np.unique(np.linspace(0, len(order), min(len(order), 4000) + 1).astype(np.int64))
    means: list[float] = []
    counts: list[float] = []
    middles: list[float] = []
    for first, last in pairwise(edges):
        part = order[first:last]
        means.append(float(truth[part].mean()))
        counts.append(float(last - first))
        middles.append(float(scores[part].mean()))
        while len(means) > 1 and means[-2] >= means[-1]:
            mean, count, middle = means.pop(), counts.pop(), middles.pop()
            both = counts[-1] + count
            means[-1] = (means[-1] * counts[-1] + mean * count) / both
            middles[-1] = (middles[-1] * counts[-1] + middle * count) / both
            counts[-1] = both
    kept = np.unique(np.linspace(0, len(means) - 1, min(len(means), _POINTS)).astype(np.int64))
    return Calibration(tuple(middles[k] for k in kept), tuple(round(means[k], 6) for k in kept))
