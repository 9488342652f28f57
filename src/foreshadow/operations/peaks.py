"""The demand that placement plans for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.series import Window
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.series import fetch_metrics
from foreshadow.placement.fleet import Amounts

PLANNED_SECONDS = 86400.0
"""How much of the past counts. A shadow stands for days, so placement plans for the peak of a day;
which shadow is taken, a decision says by the peak that is forecast."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """The highest demand of resources.

    :ivar amounts: by resource and kind, in absolute units.
    :ivar unknown: by resource, one sentence on why its demand is not known.
    """

    amounts: Mapping[str, Amounts]
    unknown: Mapping[str, str]


def recent_peaks(context: Context, specs: Sequence[ResourceSpec]) -> Peaks:
    """Return the highest demand of each resource in the last day of metric time."""

    def last_day(spec: ResourceSpec) -> Window:
        now = spec.metrics.clock.clock().metric(context.now())
        return Window(MetricTime(now - PLANNED_SECONDS), now, spec.metrics.step)

    amounts: dict[str, dict[str, float]] = {}
    unknown: dict[str, str] = {}
    asked = [spec for spec in specs if spec.metrics.demand]
    for name, fetched in fetch_metrics(context, asked, last_day).items():
        amounts[name] = {
            kind: max(value for value in series.values if not math.isnan(value))
            for kind, series in fetched.demand.items()
            if series.present()
        }
        if not amounts[name]:
            why = fetched.problems or ["no sample in the last day"]
            unknown[name] = f"the demand of {name} is not known: {why[0]}"
    for spec in specs:
        if not spec.metrics.demand:
            unknown[spec.name] = f"the demand of {spec.name} is not measured"
    return Peaks(amounts, unknown)
