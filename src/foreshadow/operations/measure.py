"""What resources measured, made ready to be forecast: histories, newest values, demand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.past import Past
from foreshadow.operations.plausible import dubious, implausible, not_a_rate
from foreshadow.operations.series import LATENCY, UTILIZATION, Fetched, fetch_metrics

DAY = 86400.0
FRESH = 4
"""The newest value is the mean over one of so many parts of a step: a step may be an hour, and an
alarm cannot wait that long."""
STALE_STEPS = 2
"""Steps without a sample after which nobody knows how things are now."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one resource measured, in base units.

    :ivar past: completed cells of the grid, by metric; ``utilization`` is that of the host that
        carries the resource now, also for the time when another did.
    :ivar newest: the last moments, on a finer grid.
    :ivar demand: completed cells by kind, in absolute units.
    :ivar limits: what the host that carries it can carry, by kind.
    :ivar problems: a sentence for each source that could not be read.
    """

    past: Mapping[str, Series]
    newest: Mapping[str, Series]
    demand: Mapping[str, Series]
    limits: Mapping[str, float]
    problems: tuple[str, ...]

    def now(self, name: str, at: MetricTime) -> float | None:
        """Return the newest value of a metric, unless it is too old."""
        found = self.newest[name].last() if name in self.newest else None
        if found is None or at - found[0] > STALE_STEPS * FRESH * self.newest[name].step:
            return None
        return found[1]

    def usual(self, name: str, at: MetricTime) -> float | None:
        """Return the median of a metric over the last day, or ``None`` without a sample."""
        series = self.past.get(name)
        if series is None:
            return None
        first = max(0, math.floor((at - DAY - series.start) / series.step) + 1)
        last = math.floor((at - series.start) / series.step) + 1
        day = [value for value in series.values[first : max(first, last)] if not math.isnan(value)]
        return median(day) if day else None

    def derived(self) -> dict[str, Series]:
        """Return the demand that makes utilization: of the kinds that the host limits."""
        return {kind: series for kind, series in self.demand.items() if kind in self.limits}


def measure(
    context: Context,
    specs: Sequence[ResourceSpec],
    at: Mapping[str, MetricTime],
    history: float,
    kept: Past | None = None,
) -> dict[str, Measured]:
    """Return what resources measured up to a metric time each.

    :param history: metric seconds beyond which the past is of no use.
    :param kept: what of it is kept; ``None`` asks the sources for all of it.
    """

    def completed(spec: ResourceSpec) -> Window:
        step, now = spec.metrics.step, at[spec.name]
        end = math.floor(now / step) * step
        return Window(MetricTime(end - min(spec.metrics.history, history)), MetricTime(end), step)

    def fresh(spec: ResourceSpec) -> Window:
        now, step = at[spec.name], spec.metrics.step
        start = MetricTime(now - (STALE_STEPS + 1) * step)
        return Window(start, now, step / FRESH)

    past = fetch_metrics(context, specs, completed, kept)
    newest = fetch_metrics(context, specs, fresh)
    capacities = {host.name: host.capacity.limits() for host in context.ledger.hosts()}
    primaries = context.ledger.primaries()
    found = {}
    for spec in specs:
        limits = capacities[primaries[spec.name]]
        before, now = past[spec.name], newest[spec.name]
        doubts = _withdraw(spec, before, now, limits)
        found[spec.name] = Measured(
            past=_with_utilization(spec, before, limits),
            newest=_with_utilization(spec, now, limits),
            demand=before.demand,
            limits=limits,
            problems=tuple(dict.fromkeys([*before.problems, *now.problems, *doubts])),
        )
    return found


def _withdraw(
    spec: ResourceSpec, before: Fetched, now: Fetched, limits: Mapping[str, float]
) -> list[str]:
    """Take away what cannot be in its declared unit, and return why, a sentence for each."""
    told = []
    declared = {UTILIZATION: spec.metrics.utilization, LATENCY: spec.metrics.latency}
    for name, metric in declared.items():
        if metric is None:
            continue
        parts = (before.metrics.get(name), now.metrics.get(name))
        if (why := implausible(metric.unit, spec.triggers.latency, *parts)) is not None:
            before.metrics.pop(name, None)
            now.metrics.pop(name, None)
            told.append(f"{name} is not used: {why}")
        elif (why := dubious(metric.unit, *parts)) is not None:
            told.append(f"{name}: {why}")
    for kind in spec.metrics.demand:
        why = not_a_rate(limits.get(kind, 0.0), before.demand.get(kind), now.demand.get(kind))
        if why is not None:
            before.demand.pop(kind, None)
            now.demand.pop(kind, None)
            told.append(f"demand of {kind} is not used: {why}")
    return told


def _with_utilization(
    spec: ResourceSpec, fetched: Fetched, limits: Mapping[str, float]
) -> dict[str, Series]:
    """Return the metrics, with utilization from demand where no query gives it."""
    if spec.metrics.utilization is not None:
        return fetched.metrics
    cells: dict[int, float] = {}
    step = 0.0
    for kind, series in fetched.demand.items():
        step = series.step
        for at, value in zip(series.times(), series.values, strict=True):
            if kind in limits and not math.isnan(value):
                cell = round(at / step)
                cells[cell] = max(cells.get(cell, 0.0), value / limits[kind])
    if not cells:
        return fetched.metrics
    first, last = min(cells), max(cells)
    values = tuple(cells.get(k, math.nan) for k in range(first, last + 1))
    return {**fetched.metrics, UTILIZATION: Series(MetricTime(first * step), step, values)}
