"""The trigger model of a fleet: learned once a day from what its own resources measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.spec import ResourceSpec, TriggersSpec
from foreshadow.operations.context import Context
from foreshadow.operations.measure import DAY, Measured

if TYPE_CHECKING:
    from foreshadow.forecast.trigger.model import Lesson, TriggerModel

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
_LONG_AGO = WallTime(0.0)
_ROUNDED = 0.01
"""Seconds: a moment is rounded, and must not be taken for an earlier one by that."""

Thresholds = Mapping[str, float | None]


def suits(step: float, triggers: TriggersSpec) -> bool:
    """Return whether the trigger model may speak about a metric."""
    return step <= FINEST_GRID and SHORTEST <= triggers.horizon <= LONGEST


def key() -> str:
    """Return the key under which the model is kept: another one for other features."""
    from foreshadow.forecast.trigger.features import VERSION

    return f"trigger-model:{VERSION}"


@dataclass(frozen=True, slots=True)
class Taught:
    """What a fleet has taught so far.

    :ivar model: ``None`` while it has had too few breaches to learn from.
    :ivar until: wall time of the newest cell that the model has seen. In wall time, because each
        resource may have a metric clock of its own.
    """

    model: TriggerModel | None = None
    until: WallTime = _LONG_AGO

    def at(self, spec: ResourceSpec, moment: MetricTime) -> TriggerModel | None:
        """Return the model for a question at a metric time, ``None`` where it knows what came."""
        asked = spec.metrics.clock.clock().wall(moment)
        return self.model if asked >= self.until - _ROUNDED else None


def trigger_model(
    context: Context,
    specs: Sequence[ResourceSpec],
    measured: Mapping[str, Measured],
    thresholds: Mapping[str, Thresholds],
    moments: Mapping[str, MetricTime],
    learn: bool,
) -> Taught:
    """Return the model that is kept, or a new one where that is older than a day.

    A fleet that has too few breaches for a new one keeps the one that it has.

    :param thresholds: by resource, the limit of each metric, base units.
    :param learn: renew it, and keep it. False in check mode, and where less is asked than all that
        the resources declare: the model is learned from the whole fleet, at its own limits.
    """
    kept = _kept(context.ledger.cached(key()))
    now = context.now()
    if not learn or (kept is not None and now - DAY < kept.at <= now):
        return kept.taught if kept else Taught()
    model = _learned(specs, measured, thresholds, moments)
    taught = Taught(model, now) if model or not kept else kept.taught
    body = {
        "at": now,
        "until": taught.until,
        "model": taught.model.dumps() if taught.model else None,
    }
    context.ledger.put_cached(key(), json.dumps(body), now)
    return taught


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was kept, and the wall time at which the fleet was last gone through."""

    at: float
    taught: Taught


def _kept(text: str | None) -> _Kept | None:
    """Return what was kept, or ``None`` where nothing was, or where it cannot be read."""
    from foreshadow.forecast.trigger.model import TriggerModel

    try:
        raw = json.loads(text) if text else None
        if raw is None:
            return None
        model = TriggerModel.loads(raw["model"]) if raw["model"] else None
        return _Kept(float(raw["at"]), Taught(model, WallTime(float(raw["until"]))))
    except (ValueError, TypeError, LookupError):
        return None


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
    from foreshadow.forecast.history import MOST_HISTORY, history_of, too_poor
    from foreshadow.forecast.trigger.model import Lesson

    for name, series in measured.past.items():
        threshold = thresholds.get(name)
        if threshold is None or series.step > FINEST_GRID:
            continue
        history = history_of(series, at, MOST_HISTORY)
        if too_poor(history, at) is None:
            yield Lesson.of(history.values, threshold, history.step)
