"""Measuring finished switchovers against what their decisions predicted, and learning from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.clock import MetricTime, parse_instant
from foreshadow.domain.errors import MetricsError, SpecError, UnknownNameError
from foreshadow.domain.moves import Switchover
from foreshadow.domain.outcomes import Observed
from foreshadow.domain.series import Window
from foreshadow.domain.spec import ResourceSpec
from foreshadow.domain.units import parse_duration
from foreshadow.learning.corrections import corrected_pair, corrected_weights
from foreshadow.learning.judgement import judge
from foreshadow.learning.observation import Moved, Seen, observed
from foreshadow.operations.context import Context
from foreshadow.operations.series import LATENCY, UTILIZATION, fetch_metrics
from foreshadow.placement.weights import Weights, normalised

RECENT = 100
"""How many switchovers of a resource are looked at for ones that were not measured yet."""

LEAST_STEPS = 2
"""The window is at least this many steps of the metrics long, or it would hold no sample."""


@dataclass(slots=True)
class _Lessons:
    """What was learned in this run; later outcomes build on earlier ones."""

    outcomes: list[Observed] = field(default_factory=list)
    before: dict[str, Weights] = field(default_factory=dict)
    after: dict[str, Weights] = field(default_factory=dict)
    pairs: dict[tuple[str, str], float] = field(default_factory=dict)


def observe(
    context: Context, resources: Sequence[str] | None = None, window: str | float = 1800.0
) -> Change:
    """Measure every switchover that is due, and correct weights and pair terms by it.

    A switchover is due when its window has passed in metric time: ``window`` after its end, and a
    step of the metrics after the breach that was expected. When the resource moved on earlier, the
    window ends there. Each is measured once.

    The result has ``outcomes`` (as :meth:`Observed.plain`, the oldest first) and ``weights``
    {``before``, ``after``} by resource, of those that something was due of. Weights that a person
    has pinned are left alone.

    :param resources: names; ``None`` or empty means all.
    :param window: metric seconds, or a duration such as ``30m``.
    :raises UnknownNameError: when a resource is not registered.
    :raises SpecError: when the window is not a duration.
    :raises MetricsError: when a metric source cannot be read.
    """
    try:
        seconds = parse_duration(window)
    except ValueError as error:
        raise SpecError(str(error), where="feedback, window") from None
    lessons = _Lessons()
    moved, registered = context.ledger.moved_resources(), context.ledger.primaries().keys()
    named = resources or sorted(moved & registered)
    for spec in context.ledger.resources(named):
        for move in _due(context, spec, seconds):
            _learn(context, spec, move, lessons)
    result = {
        "outcomes": [outcome.plain() for outcome in lessons.outcomes],
        "weights": {"before": lessons.before, "after": lessons.after},
    }
    measured = [outcome.switchover_id for outcome in lessons.outcomes]
    return Change(
        before={"weights": lessons.before, "measured": []},
        after={"weights": lessons.after, "measured": measured},
        preview=result,
        perform=lambda: _keep(context, lessons, result),
    )


def _due(context: Context, spec: ResourceSpec, window: float) -> Iterator[Moved]:
    """Yield the switchovers of a resource that can be measured now and were not, oldest first."""
    ledger, clock = context.ledger, spec.metrics.clock.clock()
    known = {outcome.switchover_id for outcome in ledger.outcomes(spec.name, limit=RECENT)}
    step = spec.metrics.step
    now = clock.metric(context.now())
    left: MetricTime | None = None
    due = []
    for move in ledger.switchovers(spec.name, limit=RECENT, steps=False):
        if not move.pivoted or move.ended_at is None:
            continue
        start, decision = clock.metric(move.ended_at), _decision(context, move)
        expected = parse_instant(decision["breach_at"]) if decision and decision["breach_at"] else 0
        end = max(start + max(window, LEAST_STEPS * step), expected + step)
        if left is not None:
            end = min(end, left)
        left = clock.metric(move.started_at)
        if move.id not in known and end + step <= now:
            at = parse_instant(decision["at"]) if decision else start
            due.append(
                Moved(move.id, spec.name, move.source, move.destination, start,
                      MetricTime(end), MetricTime(min(at, start)), decision)
            )  # fmt: skip
    yield from reversed(due)


def _decision(context: Context, move: Switchover) -> Mapping[str, Any] | None:
    if move.decision_id is None:
        return None
    try:
        return context.ledger.decision(move.decision_id)
    except UnknownNameError:
        return None  # older than the ledger keeps decisions


def _learn(context: Context, spec: ResourceSpec, moved: Moved, lessons: _Lessons) -> None:
    """Measure one switchover and add what it teaches to the lessons."""
    ledger, name = context.ledger, spec.name
    hosts = {host.name: host.capacity.limits() for host in ledger.hosts()}
    outcome = observed(
        moved,
        _seen(context, spec, moved),
        hosts.get(moved.source, {}),
        hosts.get(moved.destination, {}),
        context.now(),
    )
    lessons.outcomes.append(outcome)
    destination = (moved.decision or {}).get("destination") or {}
    judgement = judge(outcome, destination.get("terms", {}))
    written = normalised(spec.placement.weights.model_dump())
    if name not in lessons.before:
        lessons.before[name] = lessons.after[name] = ledger.learned_weights(name) or written
    if ledger.control().pinned_weights(name) is None:
        lessons.after[name] = corrected_weights(lessons.after[name], written, judgement.losses)
    if judgement.suited is not None and moved.destination in hosts:
        pair = (name, moved.destination)
        known = lessons.pairs.get(pair, ledger.pair_terms(name).get(moved.destination, 0.0))
        lessons.pairs[pair] = corrected_pair(known, judgement.suited)


def _seen(context: Context, spec: ResourceSpec, moved: Moved) -> Seen:
    """Return the metrics from before the decision to the end of the window.

    :raises MetricsError: when nothing could be read because a source does not answer.
    """
    step = spec.metrics.step
    window = Window(MetricTime(moved.decided_at - step), moved.end, step)
    fetched = fetch_metrics(context, [spec], lambda _: window)[spec.name]
    if fetched.problems and not fetched.metrics and not fetched.demand:
        raise MetricsError(fetched.problems[0], where=f"resource {spec.name}")
    return Seen(fetched.metrics.get(UTILIZATION), fetched.metrics.get(LATENCY), fetched.demand)


def _keep(context: Context, lessons: _Lessons, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write down the outcomes first: a lesson lost does less harm than one learned twice."""
    ledger = context.ledger
    for outcome in lessons.outcomes:
        ledger.record_outcome(outcome)
    for name, weights in lessons.after.items():
        if weights != lessons.before[name]:
            ledger.put_learned_weights(name, weights)
    for (name, host), value in lessons.pairs.items():
        ledger.put_pair_term(name, host, value)
    return result
