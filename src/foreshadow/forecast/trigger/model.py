"""The trigger model: trained on the user's own resources, judged on those that it has not seen."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from foreshadow.forecast.history import WEEK, Array, Index
from foreshadow.forecast.trigger import boosting
from foreshadow.forecast.trigger.boosting import Boosted, Growth
from foreshadow.forecast.trigger.calibration import Calibration, calibrate
from foreshadow.forecast.trigger.events import (
    REARM,
    Flags,
    Reach,
    alarms,
    onsets,
    score,
    within,
)
from foreshadow.forecast.trigger.features import features

BUDGETS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False alarms of a resource in a week for which a cut is kept."""
_QUIET_SHARE = 0.06
_SEED = 20261124
_HALVINGS = 16


@dataclass(frozen=True, slots=True)
class Lesson:
    """The past of one metric of one resource, to learn from or to be judged on.

    :ivar values: shape (n,), ``nan`` for gaps.
    :ivar since: the first origin that counts.
    """

    values: Array
    threshold: float
    step: float
    since: int

    @classmethod
    def of(cls, values: Array, threshold: float, step: float) -> Lesson:
        """Return the lesson from a history; its first week, or half, is only looked back at."""
        since = min(round(WEEK / step), len(values) // 2)
        return cls(values, threshold, step, since)

    @property
    def weeks(self) -> float:
        """Return how long it counts."""
        return max(0, len(self.values) - self.since) * self.step / WEEK

    def onsets(self) -> Index:
        """Return the onsets that an alarm could have foreseen."""
        begun = onsets(self.values, self.threshold, self.step)
        return np.asarray(begun[begun >= self.since + Reach.of(self.step).last])

    def origins(self) -> Index:
        """Return the origins that an alarm may come from: below the limit, the outcome known."""
        last = len(self.values) - Reach.of(self.step).last - 3
        all_of_them = np.arange(self.since, max(self.since, last), dtype=np.int64)
        return np.asarray(all_of_them[self.values[all_of_them] <= self.threshold])

    def features(self, origins: Index) -> Array:
        """Return what is known at origins, shape (origins, features)."""
        return features(self.values, self.threshold, self.step, origins)

    def truth(self, origins: Index) -> Flags:
        """Return whether an onset follows within reach of each origin."""
        reach = Reach.of(self.step)
        begun = onsets(self.values, self.threshold, self.step)
        return np.asarray(within(begun, origins, reach.first, reach.last) > 0)


@dataclass(frozen=True, slots=True)
class TriggerModel:
    """What turns the past of a metric into the probability of an onset within reach.

    :ivar cuts: by rising budget (false alarms of a resource in a week), the log odds above which an
        alarm keeps to it.
    :ivar onsets: how many it has learned from and been judged on.
    """

    trees: Boosted
    calibration: Calibration
    cuts: tuple[tuple[float, float], ...]
    onsets: int

    def cut(self, budget: float) -> float:
        """Return the log odds above which alarms keep to a budget: of the largest known below it.

        Below the smallest one there is none.
        """
        fitting = [cut for known, cut in self.cuts if known <= budget]
        return fitting[-1] if fitting else math.inf

    def scores(self, rows: Array) -> Array:
        """Return the log odds of rows of features, shape (rows,)."""
        return self.trees.log_odds(rows)

    def dumps(self) -> str:
        """Return the model as JSON."""
        body = {
            "trees": self.trees.dumps(),
            "calibration": asdict(self.calibration),
            "cuts": self.cuts,
            "onsets": self.onsets,
        }
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> TriggerModel:
        """Return the model that :meth:`dumps` wrote."""
        raw = json.loads(text)
        curve = raw["calibration"]
        return cls(
            Boosted.loads(raw["trees"]),
            Calibration(tuple(curve["scores"]), tuple(curve["chances"])),
            tuple((budget, cut) for budget, cut in raw["cuts"]),
            raw["onsets"],
        )


def train(
    learn: Sequence[Lesson], judge: Sequence[Lesson], growth: Growth | None = None
) -> TriggerModel:
    """Return the model that learned from some series, with its cuts fixed on others.

    :param judge: none of them a series to learn from, or its twin.
    :raises ValueError: when there is no onset to learn from, or none to be judged on.
    """
    rows, truth, weights = _sample(learn)
    trees = boosting.fit(rows, truth, weights, growth)
    judged = [Judged.by(trees, lesson) for lesson in judge]
    told = np.concatenate([each.truth for each in judged]) if judged else np.empty(0)
    if not truth.any() or not told.any():
        raise ValueError("there is no onset to learn from")
    scores = np.concatenate([each.scores for each in judged])
    count = sum(len(lesson.onsets()) for lesson in (*learn, *judge))
    curve = calibrate(scores, told.astype(np.float64))
    cuts = tuple((budget, cut_for(judged, budget)) for budget in BUDGETS)
    return TriggerModel(trees, curve, cuts, count)


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of the origins of a series, whatever gave them.

    :ivar truth: whether an onset followed, shape (origins,).
    """

    lesson: Lesson
    origins: Index
    scores: Array
    truth: Flags

    @classmethod
    def by(cls, trees: Boosted, lesson: Lesson) -> Judged:
        """Return what trees say of a series."""
        origins = lesson.origins()
        scores = trees.log_odds(lesson.features(origins)) if len(origins) else np.empty(0)
        return cls(lesson, origins, scores, lesson.truth(origins))

    def alarms(self, cut: float) -> Index:
        """Return the cells of the alarms that a cut raises."""
        asks = np.zeros(len(self.lesson.values), dtype=np.bool_)
        asks[self.origins[self.scores > cut]] = True
        return alarms(asks, max(1, round(REARM / self.lesson.step)))

    def false_a_week(self, cut: float) -> float:
        """Return the false alarms of a week."""
        begun = onsets(self.lesson.values, self.lesson.threshold, self.lesson.step)
        false = score(self.alarms(cut), begun, self.lesson.step).false
        return false / self.lesson.weeks if self.lesson.weeks else 0.0


def cut_for(judged: Sequence[Judged], budget: float) -> float:
    """Return the lowest cut at which series have no more false alarms a week than the budget."""
    scores = np.sort(np.concatenate([each.scores for each in judged]))
    low, high = 0.5, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        cut = float(scores[min(len(scores) - 1, int(middle * len(scores)))])
        if np.mean([each.false_a_week(cut) for each in judged]) > budget:
            low = middle
        else:
            high = middle
    return float(scores[min(len(scores) - 1, int(high * len(scores)))])


def _sample(lessons: Sequence[Lesson]) -> tuple[Array, Array, Array]:
    """Return rows, truth and weights: every origin before an onset, and a share of the others."""
    draw = np.random.default_rng(_SEED)
    rows, truths, weights = [], [], []
    for lesson in lessons:
        origins = lesson.origins()
        truth = lesson.truth(origins)
        kept = truth | (draw.random(len(origins)) < _QUIET_SHARE)
        rows.append(lesson.features(origins[kept]))
        truths.append(truth[kept].astype(np.float64))
        weights.append(np.where(truth[kept], 1.0, 1 / _QUIET_SHARE))
    if not rows:
        raise ValueError("there is no onset to learn from")
    weight = np.concatenate(weights)
    return np.concatenate(rows), np.concatenate(truths), weight * len(weight) / weight.sum()
