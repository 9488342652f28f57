"""All metrics of all resources forecast together, before each resource is decided on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.series import Series
from foreshadow.domain.spec import ResourceSpec
from foreshadow.forecast.outlook import Outlook
from foreshadow.operations.measure import Measured
from foreshadow.operations.outlooks import LedgerShelf, demand_name, metric_name
from foreshadow.operations.series import UTILIZATION

Foreseen: TypeAlias = Mapping[str, Outlook | Blocked]
"""By the name of the metric or the kind of demand, within one resource."""


def foresee(
    specs: Sequence[ResourceSpec],
    measured: Mapping[str, Measured],
    at: Mapping[str, MetricTime],
    horizons: Mapping[str, float],
    shelf: LedgerShelf,
) -> dict[str, Foreseen]:
    """Return by resource what the fleet model says of each of its metrics, or why it says nothing.

    :param horizons: metric seconds, by resource.
    """
    from foreshadow.forecast.history import history_of, too_poor
    from foreshadow.forecast.many import MOST_HISTORY, Asked, forecast_many

    found: dict[str, dict[str, Outlook | Blocked]] = {spec.name: {} for spec in specs}
    asked: list[Asked] = []
    owners: dict[str, tuple[str, str]] = {}
    for spec in specs:
        now = at[spec.name]
        for name, series in _series(spec, measured[spec.name]):
            history = history_of(series, now, MOST_HISTORY)
            problem = too_poor(history, now)
            if problem is not None:
                found[spec.name][name] = Blocked(Block.HISTORY, problem)
                continue
            end = math.floor(now / series.step) * series.step
            whole = f"{spec.name} {name}"
            owners[whole] = spec.name, name
            asked.append(Asked(whole, history, end, horizons[spec.name]))
    for whole, outlook in forecast_many(asked, shelf).items():
        resource, name = owners[whole]
        found[resource][name] = outlook
    return dict(found)


def _series(spec: ResourceSpec, measured: Measured) -> Iterator[tuple[str, Series]]:
    """Yield what is forecast: utilization that comes from demand is forecast as demand."""
    derived = spec.metrics.utilization is None and bool(measured.derived())
    for name, series in measured.past.items():
        if name != UTILIZATION or not derived:
            yield metric_name(name), series
    for kind, series in measured.demand.items():
        yield demand_name(kind), series
