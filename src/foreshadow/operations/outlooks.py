"""The forecasts of one resource: each metric's outlook, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.errors import SpecError
from foreshadow.domain.series import Series
from foreshadow.domain.spec import ResourceSpec, TriggersSpec
from foreshadow.forecast.outlook import UNFIT, Outlook, unfit
from foreshadow.operations.context import Context
from foreshadow.operations.measure import DAY, Measured
from foreshadow.operations.series import UTILIZATION
from foreshadow.operations.trigger_model import suits

if TYPE_CHECKING:
    from foreshadow.forecast.margin import Limit
    from foreshadow.forecast.trigger.model import TriggerModel


class LedgerShelf:
    """Fitted coefficients, kept in the ledger between runs.

    :param write: false where nothing may be written, as in check mode.
    """

    def __init__(self, context: Context, write: bool) -> None:
        self._context = context
        self._write = write

    def get(self, key: str) -> str | None:
        """Return the text under a key, or ``None``."""
        return self._context.ledger.cached(key)

    def put(self, key: str, text: str) -> None:
        """Keep a text under a key."""
        if self._write:
            self._context.ledger.put_cached(key, text, self._context.now())


@dataclass(slots=True)
class Outlooks:
    """What is forecast for one resource.

    :ivar metrics: by metric.
    :ivar demand: by kind, as far as it was needed.
    :ivar problems: by metric, why there is no outlook.
    """

    metrics: dict[str, Outlook] = field(default_factory=dict)
    demand: dict[str, Outlook] = field(default_factory=dict)
    problems: dict[str, Blocked] = field(default_factory=dict)


class Forecaster:
    """Forecasts the metrics of one resource at one metric time.

    What was foreseen together with other resources is taken as it is; the rest is forecast with
    Prophet, one by one.

    :param foreseen: by the names of :func:`metric_name` and :func:`demand_name`.
    :param thresholds: by metric, base units; ``None`` for what has no limit.
    :param model: the trigger model, if there is one yet.
    """

    def __init__(
        self,
        spec: ResourceSpec,
        triggers: TriggersSpec,
        at: MetricTime,
        shelf: LedgerShelf,
        foreseen: Mapping[str, Outlook | Blocked] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
        model: TriggerModel | None = None,
    ) -> None:
        self._spec = spec
        self._triggers = triggers
        self._at = at
        self._shelf = shelf
        self._foreseen = foreseen or {}
        self._thresholds = thresholds or {}
        self._model = model

    def outlooks(self, measured: Measured) -> Outlooks:
        """Return the outlook of each metric that has been measured.

        Utilization that comes from demand is forecast as demand: its fits then stay good when the
        resource moves to a host of another size. The kind that will be the tightest speaks,
        of those with a standing alarm if there are any.
        """
        found = Outlooks()
        derived = measured.derived() if self._spec.metrics.utilization is None else {}
        for name, series in measured.past.items():
            if name == UTILIZATION and derived:
                self._utilization(measured.limits, derived, found)
                continue
            outlook = self._weighed(metric_name(name), series, self._thresholds.get(name))
            if isinstance(outlook, Outlook):
                found.metrics[name] = outlook
            else:
                found.problems[name] = outlook
        return found

    def peaks(self, measured: Measured, known: Outlooks) -> dict[str, float]:
        """Return the highest demand by kind within the horizon, at the policy's quantile.

        What cannot be forecast is taken at its highest in the past day.
        """
        until = MetricTime(self._at + self._triggers.horizon)
        found = {}
        for kind, series in measured.demand.items():
            outlook = known.demand.get(kind) or self._forecast(demand_name(kind), series)
            if isinstance(outlook, Outlook):
                found[kind] = outlook.highest(self._triggers.quantile, self._at, until)
            elif recent := _last_day(series, self._at):
                found[kind] = max(recent)
        return found

    def _utilization(
        self, limits: Mapping[str, float], derived: Mapping[str, Series], found: Outlooks
    ) -> None:
        until = MetricTime(self._at + self._triggers.horizon)
        tightest, threshold = (False, -1.0), self._thresholds.get(UTILIZATION)
        for kind, series in derived.items():
            most = None if threshold is None else threshold * limits[kind]
            outlook = self._weighed(demand_name(kind), series, most)
            if isinstance(outlook, Blocked):
                found.problems[UTILIZATION] = outlook
                continue
            found.demand[kind] = outlook
            share = outlook.scaled(1 / limits[kind])
            stands = share.alarm is not None and share.alarm.stands
            rank = stands, share.highest(self._triggers.quantile, self._at, until)
            if rank > tightest:
                tightest, found.metrics[UTILIZATION] = rank, share

    def _weighed(self, name: str, series: Series, threshold: float | None) -> Outlook | Blocked:
        """Return the outlook with what the trigger model holds of it."""
        asked = self._triggers
        outlook = self._forecast(name, series, threshold)
        if isinstance(outlook, Blocked) or threshold is None or self._model is None:
            return outlook
        if not suits(series.step, asked):
            return outlook
        from foreshadow.forecast.history import MOST_HISTORY, history_of
        from foreshadow.forecast.trigger.alarm import alarm

        history = history_of(series, self._at, MOST_HISTORY)
        said = alarm(self._model, history, threshold, asked.false_alarms_per_week)
        return replace(outlook, alarm=said)

    def _forecast(
        self, name: str, series: Series, threshold: float | None = None
    ) -> Outlook | Blocked:
        if name in self._foreseen:
            return self._foreseen[name]
        from foreshadow.forecast.forecaster import forecast
        from foreshadow.forecast.history import MOST_HISTORY, history_of, too_poor

        history = history_of(series, self._at, MOST_HISTORY)
        problem = too_poor(history, self._at)
        if problem is not None:
            return Blocked(Block.HISTORY, problem)
        limit = limit_of(threshold, self._triggers, series.step, self._model)
        try:
            return forecast(history, self._triggers.horizon, self._shelf, limit=limit)
        except UNFIT as error:
            return unfit(error)


def limit_of(
    threshold: float | None, triggers: TriggersSpec, step: float, model: TriggerModel | None
) -> Limit | None:
    """Return what a forecast is held against.

    ``None`` where there is no threshold, and where the trigger model keeps false alarms in the
    budget: no margin is asked then, and none can shut the gate.

    :param threshold: in the units of what is forecast.
    :param step: of its grid, seconds.
    """
    from foreshadow.forecast.margin import Limit

    if threshold is None or (model is not None and suits(step, triggers)):
        return None
    return Limit(threshold, triggers.quantile, triggers.false_alarms_per_week)


def metric_name(name: str) -> str:
    """Return what a metric is called among what was foreseen."""
    return f"metric {name}"


def demand_name(kind: str) -> str:
    """Return what a kind of demand is called among what was foreseen."""
    return f"demand {kind}"


def require_forecasting(model: str) -> None:
    """Refuse in one line where the packages that a model needs are missing.

    :raises SpecError: names the first one that is missing.
    """
    for package in ("numpy", "prophet") if model == "prophet" else ("numpy",):
        if find_spec(package) is None:
            raise SpecError(
                f"{package} is not installed",
                where="forecast",
                remedy="install ansible-foreshadow[forecast]",
            )


def _last_day(series: Series, at: MetricTime) -> list[float]:
    times = zip(series.times(), series.values, strict=True)
    return [value for t, value in times if at - DAY < t <= at and not math.isnan(value)]
