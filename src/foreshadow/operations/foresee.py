"""All metrics of all resources forecast together, before each resource is decided on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.series import Series
from foreshadow.domain.spec import ResourceSpec, TriggersSpec
from foreshadow.forecast.outlook import Outlook
from foreshadow.operations.measure import Measured
from foreshadow.operations.outlooks import LedgerShelf, demand_name, limit_of, metric_name
from foreshadow.operations.series import UTILIZATION
from foreshadow.operations.trigger_model import Taught, Thresholds

Foreseen: TypeAlias = Mapping[str, Outlook | Blocked]
"""By the name of the metric or the kind of demand, within one resource."""


def foresee(
    specs: Sequence[ResourceSpec],
    measured: Mapping[str, Measured],
    at: Mapping[str, MetricTime],
    triggers: Mapping[str, TriggersSpec],
    thresholds: Mapping[str, Thresholds],
    taught: Taught,
    shelf: LedgerShelf,
) -> dict[str, Foreseen]:
    """Return by resource what the fleet model says of each of its metrics, or why it says nothing.

    :param triggers: by resource.
    :param thresholds: by resource, the limit of each metric, base units.
    :param taught: where there is a trigger model, no margin is asked of a forecast.
    """
    from foreshadow.forecast.history import MOST_HISTORY, history_of, too_poor
    from foreshadow.forecast.many import Asked, forecast_many

    found: dict[str, dict[str, Outlook | Blocked]] = {spec.name: {} for spec in specs}
    asked: list[Asked] = []
    owners: dict[str, tuple[str, str]] = {}
    for spec in specs:
        now, asks = at[spec.name], triggers[spec.name]
        model = taught.at(spec, now)
        for name, series, threshold in _series(spec, measured[spec.name], thresholds[spec.name]):
            history = history_of(series, now, MOST_HISTORY)
            problem = too_poor(history, now)
            if problem is not None:
                found[spec.name][name] = Blocked(Block.HISTORY, problem)
                continue
            end = math.floor(now / series.step) * series.step
            whole = f"{spec.name} {name}"
            owners[whole] = spec.name, name
            limit = limit_of(threshold, asks, series.step, model)
            asked.append(Asked(whole, history, end, asks.horizon, limit))
    for whole, outlook in forecast_many(asked, shelf).items():
        resource, name = owners[whole]
        found[resource][name] = outlook
    return dict(found)


def _series(
    spec: ResourceSpec, measured: Measured, thresholds: Thresholds
) -> Iterator[tuple[str, Series, float | None]]:
    """Yield what is forecast, with its limit: utilization that comes from demand, as demand."""
    derived = measured.derived() if spec.metrics.utilization is None else {}
    for name, series in measured.past.items():
        if name != UTILIZATION or not derived:
            yield metric_name(name), series, thresholds.get(name)
    most = thresholds.get(UTILIZATION)
    for kind, series in measured.demand.items():
        limit = most * measured.limits[kind] if most is not None and kind in derived else None
        yield demand_name(kind), series, limit
