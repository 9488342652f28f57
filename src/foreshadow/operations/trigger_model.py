"""The trigger model of a fleet: learned once a day from what its own resources measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from blake3 import blake3

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.spec import ResourceSpec, TriggersSpec
from foreshadow.operations.context import Context
from foreshadow.operations.measure import DAY, Measured

if TYPE_CHECKING:
    from foreshadow.forecast.trigger.model import Lesson, TriggerModel

KEY = "trigger-model"
FINEST_GRID = 900.0
"""Seconds: on a coarser grid an alarm of ten to sixty minutes ahead has no meaning."""
SHORTEST, LONGEST = 600.0, 7200.0
"""Horizons, seconds, for which an alarm within the hour is what is asked for."""
LEAST_ONSETS, LEAST_LESSONS = 300, 40
"""Breaches and metrics below which a model errs more than what it replaces: learned from a dozen
series, it raised three times the false alarms that it was cut to, and its probabilities lied."""
MOST_LESSONS = 60
"""More do not teach more, and would make an evaluation wait."""
_JUDGES = 3

Thresholds = Mapping[str, float | None]


def suits(step: float, triggers: TriggersSpec) -> bool:
    """Return whether the trigger model may speak about a metric."""
    return step <= FINEST_GRID and SHORTEST <= triggers.horizon <= LONGEST


def trigger_model(
    context: Context,
    specs: Sequence[ResourceSpec],
    measured: Mapping[str, Measured],
    thresholds: Mapping[str, Thresholds],
    moments: Mapping[str, MetricTime],
    learn: bool,
) -> TriggerModel | None:
    """Return the model, or ``None`` while the fleet has had too few breaches to learn from.

    :param thresholds: by resource, the limit of each metric, base units.
    :param learn: renew what is older than a day, and keep it; false in check mode.
    """
    from foreshadow.forecast.trigger.model import TriggerModel

    text = context.ledger.cached(KEY)
    kept = json.loads(text) if text else None
    now = context.now()
    if not learn or (kept is not None and now - DAY < kept["at"] <= now):
        return TriggerModel.loads(kept["model"]) if kept and kept["model"] else None
    model = _learned(specs, measured, thresholds, moments)
    body = {"at": now, "model": model.dumps() if model else None}
    context.ledger.put_cached(KEY, json.dumps(body), now)
    return model


def _learned(
    specs: Sequence[ResourceSpec],
    measured: Mapping[str, Measured],
    thresholds: Mapping[str, Thresholds],
    moments: Mapping[str, MetricTime],
) -> TriggerModel | None:
    from foreshadow.forecast.trigger.model import train

    learn: list[Lesson] = []
    judge: list[Lesson] = []
    # In the order of a digest, so that the sample and its halves are the same on each day.
    for spec in sorted(specs, key=lambda spec: _place(spec.name)):
        if len(learn) + len(judge) >= MOST_LESSONS:
            break
        part = judge if _place(spec.name) % _JUDGES == 0 else learn
        part += _lessons(measured[spec.name], thresholds[spec.name], moments[spec.name])
    every = (*learn, *judge)
    known = sum(len(lesson.onsets()) for lesson in every)
    if len(every) < LEAST_LESSONS or known < LEAST_ONSETS:
        return None
    try:
        return train(learn, judge)
    except ValueError:  # all the breaches are in one of the halves
        return None


def _place(name: str) -> int:
    return int.from_bytes(blake3(name.encode()).digest(4), "big")


def _lessons(measured: Measured, thresholds: Thresholds, at: MetricTime) -> Iterator[Lesson]:
    from foreshadow.forecast.forecaster import MOST_HISTORY
    from foreshadow.forecast.history import history_of, too_poor
    from foreshadow.forecast.trigger.model import Lesson

    for name, series in measured.past.items():
        threshold = thresholds.get(name)
        if threshold is None or series.step > FINEST_GRID:
            continue
        history = history_of(series, at, MOST_HISTORY)
        if too_poor(history, at) is None:
            yield Lesson.of(history.values, threshold, history.step)
