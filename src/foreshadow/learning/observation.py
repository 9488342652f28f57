"""What metrics say about a finished switchover: how it went, and what was spared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from foreshadow.domain.clock import MetricTime, WallTime, parse_instant
from foreshadow.domain.outcomes import Observed
from foreshadow.domain.series import Series

Limits = Mapping[str, float]
"""Capacity of a host by kind, in absolute units; a kind that is not limited is absent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The metrics of a resource around a switchover, in base units; what is not measured is absent.

    :ivar utilization: ratio, of whichever host carried the resource.
    :ivar latency: seconds.
    :ivar demand: by kind, absolute.
    """

    utilization: Series | None = None
    latency: Series | None = None
    demand: Mapping[str, Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moved:
    """A finished switchover, as far as measuring it needs.

    :ivar start: metric time at which it had ended.
    :ivar end: metric time up to which the resource stayed, or the window ends.
    :ivar decision: what asked for it, as :meth:`Decision.plain` gives it; ``None`` for a move by
        hand.
    :ivar decided_at: metric time of the decision, else ``start``.
    """

    switchover_id: str
    resource: str
    source: str
    destination: str
    start: MetricTime
    end: MetricTime
    decided_at: MetricTime
    decision: Mapping[str, Any] | None = None


def observed(
    moved: Moved, seen: Seen, source: Limits, destination: Limits, measured_at: WallTime
) -> Observed:
    """Return what was observed, beside what was predicted.

    Utilization on the destination is the metric where there is one, else demand over capacity.
    What the source was spared is demand over the source's capacity, from the decision on.
    """
    after = (moved.start, moved.end)
    utilization = (
        _demand_peak(seen.demand, destination, after)
        if seen.utilization is None
        else max((value for _, value in _between(seen.utilization, after)), default=None)
    )
    latencies = [] if seen.latency is None else [v for _, v in _between(seen.latency, after)]
    spared = _demand_peak(seen.demand, source, (moved.decided_at, moved.end))
    signal = _part(moved.decision, "signals", "utilization")
    threshold = signal.get("threshold")
    breach_at = (
        None
        if threshold is None
        else _crossing(seen.demand, source, threshold, (moved.decided_at, moved.end))
    )
    headroom = _part(moved.decision, "destination", "terms").get("availability")
    return Observed(
        moved.switchover_id, moved.resource, moved.source, moved.destination, moved.start,
        moved.end, measured_at,
        predicted_source=signal.get("predicted"),
        predicted_destination=None if headroom is None else 1.0 - headroom,
        utilization=utilization,
        source_utilization=spared,
        threshold=threshold,
        breach=_breach(moved, breach_at, threshold, _demand_peak(seen.demand, source, after)),
        breach_at=breach_at,
        latency=statistics.median(latencies) if latencies else None,
        baseline_latency=_part(moved.decision, "signals", "latency").get("baseline"),
        note=_note(moved, utilization, latencies, spared),
    )  # fmt: skip


def _between(
    series: Series, span: tuple[MetricTime, MetricTime]
) -> Iterator[tuple[MetricTime, float]]:
    """Yield the values whose cell ends in ``(start, end]``, without gaps."""
    for at, value in zip(series.times(), series.values, strict=True):
        if span[0] < at <= span[1] and not math.isnan(value):
            yield at, value


def _demand_peak(
    demand: Mapping[str, Series], limits: Limits, span: tuple[MetricTime, MetricTime]
) -> float | None:
    ratios = _ratios(demand, limits, span)
    return max(ratios.values(), default=None)


def _ratios(
    demand: Mapping[str, Series], limits: Limits, span: tuple[MetricTime, MetricTime]
) -> dict[MetricTime, float]:
    """Return at each time the utilization of the scarcest kind that a host would have shown."""
    found: dict[MetricTime, float] = {}
    for kind, series in demand.items():
        if kind in limits:
            for at, value in _between(series, span):
                found[at] = max(found.get(at, 0.0), value / limits[kind])
    return dict(sorted(found.items()))


def _crossing(
    demand: Mapping[str, Series],
    limits: Limits,
    threshold: float,
    span: tuple[MetricTime, MetricTime],
) -> MetricTime | None:
    """Return when the utilization first went above the threshold, between two samples if so.

    A sample stands at the middle of the cell that it speaks for, as in a forecast.
    """
    before: tuple[MetricTime, float] | None = None
    half = max((series.step for series in demand.values()), default=0.0) / 2
    for end, value in _ratios(demand, limits, span).items():
        at = MetricTime(end - half)
        if value > threshold:
            if before is None:
                return at
            part = (threshold - before[1]) / (value - before[1])
            return MetricTime(before[0] + part * (at - before[0]))
        before = (at, value)
    return None


def _breach(
    moved: Moved,
    breach_at: MetricTime | None,
    threshold: float | None,
    spared_after: float | None,
) -> bool | None:
    """Return whether there would have been a breach.

    It did not come only when the window reached the time at which it was expected, and demand was
    measured after the move: quiet before that proves nothing.
    """
    if breach_at is not None:
        return True
    if threshold is None or spared_after is None:
        return None
    return False if moved.end >= _expected(moved) else None


def _expected(moved: Moved) -> float:
    """Return when the decision expected the breach; the start when it named no time."""
    at = (moved.decision or {}).get("breach_at")
    return moved.start if at is None else parse_instant(at)


def _part(decision: Mapping[str, Any] | None, *keys: str) -> Mapping[str, Any]:
    """Return a nested mapping of a decision, empty where it has none."""
    part: Any = decision
    for key in keys:
        part = (part or {}).get(key)
    return part or {}


def _note(
    moved: Moved, utilization: float | None, latencies: list[float], spared: float | None
) -> str:
    if utilization is None and not latencies:
        return f"no sample of {moved.resource} on {moved.destination} in the window"
    if moved.decision is None:
        return "moved by hand: nothing was predicted"
    if moved.end < _expected(moved):
        return "it moved on before the breach that was expected"
    if spared is None:
        return "its demand is not measured against the old host"
    return ""
