"""What one metric says about its limit: now, and within the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Blocked, Gate, Model, Signal
from foreshadow.forecast.outlook import Alarm, Outlook, Quantiles

INTERVAL = (0.1, 0.9)
_SHUT = Gate(open=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric, read.

    :ivar observed: it is above its threshold now.
    :ivar probability: that it is above at the worst time within the horizon.
    :ivar worst_at: that time.
    :ivar problem: why there is no forecast, or no value now.
    :ivar short_of: by how much the forecast misses what an alarm needs, base units: more than 0
        where it passes the threshold, and not the margin that keeps false alarms in the budget.
    :ivar alarm: what the trigger model says, which then decides instead of the margin.
    """

    name: str
    signal: Signal
    observed: bool = False
    probability: float | None = None
    worst_at: MetricTime | None = None
    gate: Gate = _SHUT
    model: Model | None = None
    problem: Blocked | None = None
    short_of: float = 0.0
    alarm: Alarm | None = None

    @property
    def foreseen(self) -> bool:
        """Return whether a breach is forecast within the horizon, clearly enough for an alarm."""
        clear = self.short_of <= 0 if self.alarm is None else self.alarm.stands
        return self.signal.breach_at is not None and not self.observed and clear


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a metric.

    :ivar horizon: metric seconds from ``at``.
    :ivar quantile: which quantile has to pass the threshold.
    :ivar threshold: base units; ``None`` when the metric has no limit.
    """

    at: MetricTime
    horizon: float
    quantile: float
    threshold: float | None


def read(
    name: str,
    question: Question,
    now: float | None,
    baseline: float | None,
    outlook: Outlook | None,
    problem: Blocked | None = None,
) -> Reading:
    """Return what a metric says.

    :param now: its newest value; ``None`` when that is unknown or too old.
    """
    threshold = question.threshold
    observed = now is not None and threshold is not None and now > threshold
    begun = question.at if observed else None
    if outlook is None:
        signal = Signal(now, baseline, threshold=threshold, breach_at=begun)
        return Reading(name, signal, observed, problem=problem)
    end = MetricTime(question.at + question.horizon)
    coming = [q for q in outlook.path if q.at > question.at]
    within = outlook.between(question.at, end)
    worst = max(within, key=lambda q: q.quantile(question.quantile))
    highest = worst.quantile(question.quantile)
    breach, probability, short_of = None, None, 0.0
    if threshold is not None:
        breach = begun or _breach(question, threshold, now, coming)
        probability = round(max(q.exceeds(threshold) for q in within), 4)
        short_of = max(0.0, threshold + outlook.margin - highest)
    alarm = None if threshold is None else outlook.alarm
    if alarm is not None:
        probability = alarm.probability
        if alarm.stands and breach is None:
            breach = worst.at  # the path stays below: where it comes nearest
    signal = Signal(
        now=now,
        baseline=baseline,
        predicted=highest,
        lower=worst.quantile(INTERVAL[0]),
        upper=worst.quantile(INTERVAL[1]),
        threshold=threshold,
        breach_at=breach,
    )
    return Reading(
        name,
        signal,
        observed,
        probability,
        worst.at,
        outlook.gate,
        outlook.model,
        problem,
        short_of,
        alarm,
    )


def _breach(
    question: Question, threshold: float, now: float | None, coming: list[Quantiles]
) -> MetricTime | None:
    """Return when the quantile first passes the threshold within the horizon."""
    path = [(q.at, q.quantile(question.quantile)) for q in coming]
    if now is not None:
        path.insert(0, (question.at, now))
    elif path and path[0][1] > threshold:
        return path[0][0]
    for (t0, v0), (t1, v1) in pairwise(path):
        if v1 > threshold:
            at = MetricTime(t0 + (t1 - t0) * (threshold - v0) / (v1 - v0))
            return at if at <= question.at + question.horizon else None
    return None
