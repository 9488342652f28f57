"""Fetching what resources measure: one query for many of them, all sources overlaid, base units."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from foreshadow.domain.clock import MetricClock
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.protocols import MetricSource
from foreshadow.domain.series import Series, Window, overlay
from foreshadow.domain.spec import MetricSpec, ResourceSpec, SourceSpec, Unit
from foreshadow.operations.context import Context

if TYPE_CHECKING:
    from foreshadow.operations.past import Past

UTILIZATION = "utilization"
LATENCY = "latency"

BASE: dict[Unit, float] = {"percent": 0.01, "milliseconds": 0.001}
"""What a value is multiplied by to be in base units; units that are not here are base units."""


COSTLY = frozenset({"prometheus", "cloudwatch"})
"""Kinds of sources that are not asked again for what they have said."""


@dataclass(slots=True)
class Fetched:
    """What one resource measured, in base units; what no source knows is absent.

    :ivar metrics: by name: ``utilization``, ``latency``.
    :ivar demand: by kind, in absolute units.
    :ivar problems: a sentence for each source that could not be read.
    """

    metrics: dict[str, Series] = field(default_factory=dict)
    demand: dict[str, Series] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


_Key: TypeAlias = tuple[str, str, Window, MetricClock]


@dataclass(frozen=True, slots=True)
class _Want:
    """One metric of one resource from one source."""

    spec: ResourceSpec
    source: SourceSpec
    name: str
    metric: MetricSpec
    window: Window

    def key(self) -> _Key:
        """Return what requests must share to be asked as one."""
        source = json.dumps(self.source.model_dump(mode="json"), sort_keys=True)
        clock = self.spec.metrics.clock.clock()
        return (source, self.metric.query, self.window, clock)


def fetch_metrics(
    context: Context,
    specs: Sequence[ResourceSpec],
    window: Callable[[ResourceSpec], Window],
    past: Past | None = None,
) -> dict[str, Fetched]:
    """Return what the resources measured, each over its own window.

    Resources that share a source, a query, a clock and a window are asked for at once. A source
    that cannot be read is a problem of its resources, in words; the other sources still count.

    :param past: what is kept of those sources that are costly to ask for a long time.
    """
    found = {spec.name: Fetched() for spec in specs}
    windows = {spec.name: window(spec) for spec in specs}
    opened: dict[str, MetricSource] = {}
    # Source by source in the order of the specs, so that later ones lie on top.
    for depth in range(max((len(spec.metrics.sources) for spec in specs), default=0)):
        groups: dict[_Key, list[_Want]] = defaultdict(list)
        for spec in specs:
            for want in _wants(spec, depth, windows[spec.name]):
                groups[want.key()].append(want)
        for key in sorted(groups, key=repr):
            _ask(context, groups[key], opened, found, past)
    return found


def _wants(spec: ResourceSpec, depth: int, window: Window) -> Iterator[_Want]:
    metrics = spec.metrics
    named = [(UTILIZATION, metrics.utilization), (LATENCY, metrics.latency)]
    for source in metrics.sources[depth : depth + 1]:
        for name, metric in (*named, *metrics.demand.items()):
            if metric is not None:
                yield _Want(spec, source, name, metric, window)


def _ask(
    context: Context,
    wants: Sequence[_Want],
    opened: dict[str, MetricSource],
    found: dict[str, Fetched],
    past: Past | None,
) -> None:
    """Ask a source one query, and lay the answers over what is there.

    :param opened: sources that were asked before, so that a file is read once for all queries.
    """
    first = wants[0]
    key = f"{first.key()[0]} {first.spec.metrics.clock.clock()}"
    try:
        source = opened.get(key) or context.source(
            _addressed(context, first.source), first.spec.metrics.clock.clock()
        )
        opened[key] = source
        names = sorted({want.spec.name for want in wants})
        if past is not None and first.source.kind in COSTLY:
            what = f"{key} {first.metric.query}"
            answers = past.fetch(source, what, first.metric.query, names, first.window)
        else:
            answers = source.fetch(first.metric.query, names, first.window)
    except MetricsError as error:
        for want in wants:
            problems = found[want.spec.name].problems
            if str(error) not in problems:
                problems.append(str(error))
        return
    for want in wants:
        answer = answers.get(want.spec.name)
        if answer is None:
            continue
        series = _in_base_units(answer, want.metric.unit)
        fetched = found[want.spec.name]
        kinds = fetched.metrics if want.name in (UTILIZATION, LATENCY) else fetched.demand
        below = kinds.get(want.name)
        kinds[want.name] = series if below is None else overlay(below, series)


def _addressed(context: Context, source: SourceSpec) -> SourceSpec:
    """Return a source that knows whom to ask: of ``agents``, by default those of all hosts."""
    if source.kind != "agents" or source.options().get("hosts"):
        return source
    return source.model_copy(update={"hosts": tuple(host.name for host in context.ledger.hosts())})


def _in_base_units(series: Series, unit: Unit) -> Series:
    factor = BASE.get(unit, 1.0)
    if factor == 1.0:
        return series
    return Series(series.start, series.step, tuple(value * factor for value in series.values))
