"""How wrong each method was lately: what weighs the views, widens the quantiles, opens the gate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.baselines import LAST_VALUE, SAME_TIME_LAST_WEEK, SAME_TIME_YESTERDAY
from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.claims import Claims
from foreshadow.forecast.history import DAY, WEEK
from foreshadow.forecast.intervals import INTERVAL, LEVELS
from foreshadow.forecast.issued import Issued
from foreshadow.forecast.skill import Skill, beaten
from foreshadow.forecast.tracking import Tracking, covers

NAIVE = {LAST_VALUE: 3, SAME_TIME_YESTERDAY: 4, SAME_TIME_LAST_WEEK: 5}
"""The methods that have to be beaten, by name."""
_OURS = 6

_SHARPNESS = 12.0
"""A view that errs by a tenth more weighs about a third."""
_QUICK, _SLOW = DAY, 3 * DAY
"""Half-lives in seconds: of the errors that weigh the views, and of those that open the gate."""
_TINY = 1e-9
_CHANCE = 0.05
"""A skill below this may be chance."""
_MOST_GROWTH = 1.35
"""An error that is 2.5 times as large for a day lifts the quick average this far above the slow."""
_UNKNOWN = 1e30
_LOW, _HIGH = (int(np.argmin(np.abs(np.asarray(LEVELS) - level))) for level in INTERVAL)


@dataclass(frozen=True, slots=True)
class Proof:
    """How one series did.

    :ivar coverage: share of what came inside the 80 % interval; ``None`` while unknown.
    :ivar days: how many days of its intervals were judged, a week at most.
    :ivar losses: mean absolute error by method, ours under ``None``; ``nan`` where unknown.
    :ivar lately: the same, of about the last day.
    """

    coverage: float | None
    days: float
    losses: dict[str | None, float]
    lately: dict[str | None, float]

    def skill(self) -> Skill | None:
        """Return the skill against the naive forecast that is hardest to beat.

        Decayed means have no blocks to leave out: what may be chance is a fixed allowance.
        """
        return min(self._skills(self.losses), key=lambda found: found.value, default=None)

    def changed(self) -> str | None:
        """Return how the last day went against what history had taught, or ``None``."""
        if (worse := beaten(self._skills(self.lately))) is not None:
            return worse
        growth = self.lately[None] / max(self.losses[None], _TINY)
        if growth > _MOST_GROWTH:
            return (
                f"lately the forecast erred {growth:.1f} times as much as over the days before: "
                "the metric has changed its ways"
            )
        return None

    def _skills(self, losses: dict[str | None, float]) -> list[Skill]:
        ours = losses[None]
        values = {
            name: 1 - ours / theirs if theirs > 0 else -np.inf
            for name, theirs in losses.items()
            if name is not None and np.isfinite(theirs) and np.isfinite(ours)
        }
        return [Skill(value, value - _CHANCE, name) for name, value in values.items()]


class Memory:
    """The errors of some series.

    :ivar quick: decayed mean absolute error by method, ours as the last one, shape (methods,
        series, horizons).
    :ivar slow: the same over a longer time.
    :ivar covered: decayed share inside the 80 % interval, shape (series, horizons).
    :ivar judged: ticks at which the 80 % interval that was known then met a value, shape (series,).
    :ivar claims: what was forecast with a known interval.
    :ivar tracking: the quantiles of the errors of the blend.
    """

    def __init__(self, batch: Batch, horizons: tuple[int, ...]) -> None:
        shape = (_OURS, len(batch), len(horizons))
        self._horizons = horizons
        self._step = batch.step
        self._keep = [0.5 ** (batch.step / time) for time in (_QUICK, _SLOW)]
        self.quick = np.full((_OURS + 1, *shape[1:]), np.nan, dtype=np.float32)
        self.slow = np.full((_OURS + 1, *shape[1:]), np.nan, dtype=np.float32)
        self.covered = np.full(shape[1:], np.nan, dtype=np.float32)
        self.judged = np.zeros(len(batch), dtype=np.int64)
        self.claims = Claims.none(batch)
        self._said: deque[tuple[Cells, Cells]] = deque(maxlen=max(horizons))
        self._newest: list[tuple[Cells, Cells]] = []
        self.tracking = Tracking.of(np.full((len(batch), 1, len(horizons)), np.nan), horizons)

    def blended(self, said: Cells) -> Cells:
        """Return methods' points (methods, series, horizons) as one, weighed by their losses."""
        return _blend(self._weights(), said)

    def say(self, said: Cells) -> None:
        """Note what is said from the newest cell; a second time replaces the first."""
        self._newest = [(said, self.blended(said))]

    def learn(self, column: Cells) -> None:
        """Compare a new cell, shape (series,), with what was said of it."""
        self._said.extend(self._newest)
        for _, blend in self._newest:
            self.claims.note(blend, self.tracking.quantiles)
        due = self.tracking.issue()
        apart = np.full(self.slow.shape, np.nan, dtype=np.float32)
        errors = np.full(apart.shape[1:], np.nan, dtype=np.float32)
        for k, horizon in enumerate(self._horizons):
            if horizon <= len(self._said):
                said, blend = self._said[-horizon]
                errors[:, k] = column - blend[:, k]
                apart[:_OURS, :, k] = np.abs(column - said[:, :, k])
        apart[_OURS] = np.abs(errors)
        self._forget(apart, 1)
        self._judge(covers(due, errors, _LOW, _HIGH)[:, :, None])
        self.tracking.learn(errors, due)

    def look_back(self, folds: list[tuple[Cells, Cells]]) -> None:
        """Learn from what would have been said, fold by fold, each by what came before it.

        :param folds: what was said from the origin before each value on, shape (methods, series,
            ticks, horizons), and the values from there to the end, shape (series, cells).
        """
        if not folds:
            return
        series, cells = folds[0][1].shape
        errors = np.full((series, cells, len(self._horizons)), np.nan, dtype=np.float32)
        for turn, (said, values) in enumerate(folds):
            ticks, first = said.shape[2], cells - values.shape[1]
            blend = _blend(self._weights()[:, :, None], said)
            apart = np.full((*self.slow.shape, ticks), np.nan, dtype=np.float32)
            for k, horizon in enumerate(self._horizons):
                known = max(0, min(ticks, values.shape[1] - horizon + 1))
                came = values[:, horizon - 1 : horizon - 1 + known]
                place = first + horizon - 1
                errors[:, place : place + known, k] = came - blend[:, :known, k]
                early = min(known, max(0, ticks - horizon + 1))
                apart[:_OURS, :, k, :early] = np.abs(came[:, :early] - said[:, :, :early, k])
                apart[_OURS, :, k, :early] = np.abs(came[:, :early] - blend[:, :early, k])
            fresh = errors[:, first : first + ticks]
            if turn > 1:
                then = Tracking.of(errors[:, :first], self._horizons).quantiles
                inside = covers(then, fresh.transpose(1, 0, 2), _LOW, _HIGH)
                self._judge(inside.transpose(1, 2, 0))
                for tick in range(ticks):
                    self.claims.note(blend[:, tick], then)
            if turn == 0:
                # Nothing was known yet of what to trust: it only tells that, for the next fold.
                self.quick[:_OURS] = _mean(apart[:_OURS])
                if len(folds) > 1:
                    errors[:] = np.nan
            else:
                self._forget(_mean(apart), ticks)
            for tick in range(max(0, ticks - max(self._horizons)), ticks):
                self._said.append((said[:, :, tick], blend[:, tick]))
        self.tracking = Tracking.of(errors, self._horizons)

    def proof(self, row: int) -> Proof:
        """Return how one series did, over all horizons."""
        usual, lately = (
            {None: float(loss[_OURS]), **{name: float(loss[k]) for name, k in NAIVE.items()}}
            for loss in (_mean(self.slow[:, row]), _mean(self.quick[:, row]))
        )
        covered = float(_mean(self.covered[row]))
        days = float(self.judged[row]) * self._step / DAY
        return Proof(None if np.isnan(covered) else covered, min(days, WEEK / DAY), usual, lately)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that has to be kept to go on later."""
        pending = [*self._said, *self._newest]
        return {
            "quick": self.quick,
            "slow": self.slow,
            "covered": self.covered,
            "judged": self.judged,
            "claims": self.claims.highest,
            "claimed": np.array(self.claims.ticks),
            "said": np.stack([said for said, _ in pending]),
            "blend": np.stack([blend for _, blend in pending]),
            "quantiles": self.tracking.quantiles,
            "spread": self.tracking.spread,
            "issued": self.tracking.issued.tables,
            "issued ticks": np.array(self.tracking.issued.ticks),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state, which stays as it is."""
        state = {name: value.copy() for name, value in state.items()}
        self.quick, self.slow, self.covered = state["quick"], state["slow"], state["covered"]
        self.judged = state["judged"]
        self.claims.highest, self.claims.ticks = state["claims"], int(state["claimed"])
        pending = list(zip(state["said"], state["blend"], strict=True))
        self._said.extend(pending[:-1])
        self._newest = pending[-1:]
        issued = Issued(self._horizons, state["issued"], int(state["issued ticks"]))
        self.tracking = Tracking.going_on(
            state["quantiles"], state["spread"], issued, self._horizons
        )

    def _forget(self, apart: Cells, ticks: int) -> None:
        for loss, keep in zip((self.quick, self.slow), self._keep, strict=True):
            _decay(loss, apart[: len(loss)], keep**ticks)

    def _judge(self, inside: Cells) -> None:
        """Note what lay inside the interval, shape (series, horizons, ticks), nan for a gap."""
        self.judged = self.judged + (~np.isnan(inside)).any(axis=1).sum(axis=1)
        _decay(self.covered, _mean(inside), self._keep[1] ** inside.shape[2])

    def _weights(self) -> Cells:
        quick = self.quick[:_OURS]
        loss = np.where(np.isnan(quick), _UNKNOWN, quick) + _TINY
        weights = (loss.min(axis=0, keepdims=True) / loss) ** _SHARPNESS
        return np.asarray(weights, dtype=np.float32)


def _blend(weights: Cells, said: Cells) -> Cells:
    """Return the weighed mean over the first axis of what is said, if only by some."""
    known = np.where(np.isnan(said), 0, weights)
    total = known.sum(axis=0)
    return np.asarray((known * np.nan_to_num(said)).sum(axis=0) / np.maximum(total, _TINY))


def _decay(old: Cells, fresh: Cells, keep: float) -> None:
    """Move averages towards fresh values; what is unknown on one side is taken from the other."""
    moved = np.where(np.isnan(old), fresh, keep * old + (1 - keep) * fresh)
    old[...] = np.where(np.isnan(fresh), old, moved)


def _mean(values: Cells) -> Cells:
    """Return the mean over the last axis of what is known, ``nan`` where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan), dtype=np.float32)
