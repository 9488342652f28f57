"""How wrong each view of the fleet model was lately: what weighs them and widens the quantiles."""

from __future__ import annotations

from collections import deque

import numpy as np

from foreshadow.forecast.batch import Cells
from foreshadow.forecast.tracking import Tracking

_SHARPNESS = 12.0
"""A view that errs by a tenth more weighs about a third."""
_TINY = 1e-9


class Memory:
    """The errors of some series.

    :ivar loss: mean absolute error of each member, decayed, shape (members, series, horizons).
    :ivar tracking: the quantiles of the errors of the blend.
    """

    def __init__(
        self, horizons: tuple[int, ...], loss: Cells, errors: Cells, half_life: float
    ) -> None:
        self._horizons = horizons
        self.loss = loss
        self._errors = errors
        self._next = 0
        self._keep = np.float32(0.5 ** (1 / half_life))
        self._said: deque[tuple[Cells, Cells]] = deque(maxlen=max(horizons))
        self.tracking = Tracking.of(errors)

    @classmethod
    def of(cls, series: int, horizons: tuple[int, ...], members: int, kept: int) -> Memory:
        """Return the memory of nothing yet, which keeps the errors of some ticks."""
        loss = np.ones((members, series, len(horizons)), dtype=np.float32)
        errors = np.full((series, kept, len(horizons)), np.nan, dtype=np.float32)
        return cls(horizons, loss, errors, kept / 7)

    def blended(self, said: Cells) -> Cells:
        """Return members' points (members, series, horizons) as one, weighed by their losses."""
        return np.asarray((self._weights() * said).sum(axis=0))

    def say(self, said: Cells) -> None:
        """Note what is said from the newest cell; a second time replaces the first."""
        self._newest = (said, self.blended(said))

    def learn(self, column: Cells) -> None:
        """Compare a new cell, shape (series,), with what was said of it."""
        self._said.append(self._newest)
        errors = np.full((len(column), len(self._horizons)), np.nan, dtype=np.float32)
        for k, horizon in enumerate(self._horizons):
            if horizon > len(self._said):
                continue
            said, blend = self._said[-horizon]
            errors[:, k] = column - blend[:, k]
            apart = np.abs(column - said[:, :, k])
            loss = self.loss[:, :, k]
            fresh = self._keep * loss + (1 - self._keep) * apart
            self.loss[:, :, k] = np.where(np.isnan(fresh), loss, fresh)
        self._errors[:, self._next] = errors
        self._next = (self._next + 1) % self._errors.shape[1]
        self.tracking.learn(errors)

    def replayed(self, said: Cells, values: Cells) -> None:
        """Learn from what would have been said before the next values, and after the last ones.

        :param said: from the origin before each value on, shape (members, series, ticks, horizons).
        :param values: the values that came, and as many more as there are, shape (series, cells).
        """
        ticks = said.shape[2]
        blend = (self._weights()[:, :, None] * said).sum(axis=0)
        share = 1.0 if self._next == 0 else 1 - self._keep**ticks
        for k, horizon in enumerate(self._horizons):
            known = min(ticks, values.shape[1] - horizon + 1)
            came = values[:, horizon - 1 : horizon - 1 + known]
            place = self._next + horizon - 1
            self._errors[:, place : place + known, k] = came - blend[:, :known, k]
            early = max(0, min(known, ticks - horizon + 1))
            loss = _mean(np.abs(came[None, :, :early] - said[:, :, :early, k]))
            fresh = self.loss[:, :, k] + share * (loss - self.loss[:, :, k])
            self.loss[:, :, k] = np.where(np.isnan(fresh), self.loss[:, :, k], fresh)
        self._next = (self._next + ticks) % self._errors.shape[1]
        for tick in range(max(0, ticks - max(self._horizons)), ticks):
            self._said.append((said[:, :, tick], blend[:, tick]))

    def refresh(self) -> None:
        """Take the quantiles anew from the errors that are kept."""
        self.tracking = Tracking.of(self._errors, self.tracking)

    def _weights(self) -> Cells:
        best = self.loss.min(axis=0, keepdims=True)
        weights = ((best + _TINY) / (self.loss + _TINY)) ** _SHARPNESS
        return np.asarray(weights / weights.sum(axis=0, keepdims=True))


def _mean(values: Cells) -> Cells:
    """Return the mean over the last axis of what is known, ``nan`` where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float32)
