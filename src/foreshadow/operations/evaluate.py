"""The use case behind everything: look at resources, forecast them, and decide.

What the report shows of a decision (history, forecast and interval) is kept beside it: see
:mod:`foreshadow.operations.trajectories`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from foreshadow.decide.reading import Question, Reading, read
from foreshadow.decide.verdict import Case, decide, trigger_of
from foreshadow.domain.clock import MetricTime, WallTime, parse_instant
from foreshadow.domain.control import Control
from foreshadow.domain.decision import Block, Blocked, Decision, Ranked, Trigger
from foreshadow.domain.errors import SpecError
from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import ResourceSpec, TriggersSpec, merged
from foreshadow.operations.context import Context
from foreshadow.operations.expected import Expected, keep_expected
from foreshadow.operations.foresee import Foreseen, foresee
from foreshadow.operations.measure import FRESH, Measured, measure
from foreshadow.operations.outlooks import (
    Forecaster,
    LedgerShelf,
    Outlooks,
    require_forecasting,
)
from foreshadow.operations.past import Past
from foreshadow.operations.place import rank_resources
from foreshadow.operations.series import LATENCY, UTILIZATION
from foreshadow.operations.standing import candidates, facts_of, utilization
from foreshadow.operations.trajectories import Sight, keep
from foreshadow.operations.trigger_model import trigger_model
from foreshadow.operations.ttls import Ttls
from foreshadow.policy.destinations import Choice, Need, choose
from foreshadow.policy.guards import guards

if TYPE_CHECKING:
    from foreshadow.forecast.trigger.model import TriggerModel

FLEET, PROPHET = "fleet", "prophet"
MODELS = (FLEET, PROPHET)


def evaluate(
    context: Context,
    resources: Sequence[str] | None = None,
    *,
    horizon: object = None,
    triggers: Mapping[str, Any] | None = None,
    model: str | None = None,
    at: object = None,
    record: bool = True,
) -> list[Decision]:
    """Return one decision for each resource, in the order asked for, by name when all are.

    A metric that is missing, short, flat, gappy or stale is a reason in words, and never a switch.

    :param resources: names; ``None`` means all, an empty list none.
    :param horizon: a duration, instead of each resource's own.
    :param triggers: merged over those of each resource.
    :param model: ``fleet``, which forecasts all together and is the default, or ``prophet``, which
        fits real Prophet to one metric after the other.
    :param at: the metric time to decide at, instead of now; such decisions are not recorded.
    :param record: keep the decisions and fitted models in the ledger; false in check mode.
    :raises UnknownNameError: when a resource is not registered.
    :raises SpecError: when an option cannot be understood, or forecasting is not installed.
    """
    if resources is not None and not resources:
        return []
    if model is not None and model not in MODELS:
        raise SpecError(
            f"unknown model {model}", where="forecast, model", remedy=f"use {' or '.join(MODELS)}"
        )
    require_forecasting(model or FLEET)
    from foreshadow.forecast.history import MOST_HISTORY

    if resources is None:
        specs = context.ledger.resources()
    else:
        specs = tuple(context.ledger.resource(name) for name in dict.fromkeys(resources))
    given = dict(triggers or {}) | ({} if horizon in (None, "") else {"horizon": horizon})
    now, keeps = context.now(), record and at in (None, "")
    moments = {spec.name: _moment(now, spec, at) for spec in specs}
    # At another time than now nothing is kept, so nothing that is kept reaches until then.
    kept = Past(context, keeps) if at in (None, "") else None
    measured = measure(context, specs, moments, MOST_HISTORY, kept)
    shelf = LedgerShelf(context, keeps)
    triggers_of = {spec.name: _triggers(spec, given) for spec in specs}
    thresholds = {
        spec.name: _thresholds(
            spec, triggers_of[spec.name], measured[spec.name], moments[spec.name]
        )
        for spec in specs
    }
    whole = resources is None or len(specs) == len(context.ledger.resources())
    taught = trigger_model(
        context, specs, measured, thresholds, moments, learn=keeps and whole and not triggers
    )
    ledger = context.ledger
    standing = _Standing(
        now, ledger.primaries(), ledger.control(), ledger.resources_with_lowered_ttls()
    )
    foreseen: dict[str, Foreseen] = {}
    if model != PROPHET:
        foreseen = foresee(specs, measured, moments, triggers_of, thresholds, taught, shelf)
    found, seen = [], {}
    expects: list[Expected] = []
    for spec in specs:
        one = _Evaluation(
            context=context,
            standing=standing,
            spec=spec,
            triggers=triggers_of[spec.name],
            at=moments[spec.name],
            measured=measured[spec.name],
            shelf=shelf,
            ttls=Ttls(context, spec, acts=keeps),
            foreseen=foreseen.get(spec.name, {}),
            thresholds=thresholds[spec.name],
            model=taught.at(spec, moments[spec.name]),
        )
        decision, outlooks = one.decision()
        if keeps:
            expects += one.expected(outlooks)
            seen[decision.id] = Sight(decision, measured[spec.name].past, outlooks.metrics)
        found.append(decision)
    if keeps:
        keep_expected(context, expects)
        recorded = ledger.record_decisions(found)
        keep(context, [sight for made, sight in seen.items() if made in recorded])
    return found


@dataclass(frozen=True, slots=True)
class _Standing:
    """How all resources stand when an evaluation begins, read at once.

    :ivar primaries: hosts by resource.
    :ivar lowered: resources whose TTLs are lowered.
    """

    now: WallTime
    primaries: Mapping[str, str]
    control: Control
    lowered: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One resource at one time."""

    context: Context
    standing: _Standing
    spec: ResourceSpec
    triggers: TriggersSpec
    at: MetricTime
    measured: Measured
    shelf: LedgerShelf
    ttls: Ttls
    foreseen: Foreseen
    thresholds: Mapping[str, float | None]
    model: TriggerModel | None

    def decision(self) -> tuple[Decision, Outlooks]:
        """Return the decision, and what it was based on."""
        forecaster = self._forecaster()
        outlooks = forecaster.outlooks(self.measured)
        questions = self._questions()
        readings = [self._reading(name, q, outlooks) for name, q in questions.items()]
        paused = self.standing.control.pause_of(self.spec.name)
        case = Case(
            resource=self.spec.name,
            host=self.standing.primaries[self.spec.name],
            at=self.at,
            decided_at=self.standing.now,
            tick=self.spec.metrics.step / FRESH,
            readings=readings,
            questions=questions,
            problems=tuple(Blocked(Block.METRICS, said) for said in self.measured.problems),
            notes=(paused,) if paused else (),
        )
        if trigger_of(readings) is Trigger.NONE:
            restoring = self.ttls.restore() if self.spec.name in self.standing.lowered else ()
            return decide(replace(case, problems=(*case.problems, *restoring))), outlooks
        choice = self._choice(forecaster.peaks(self.measured, outlooks))
        against = (*guards(facts_of(self.context, self.spec)), *choice.blocks)
        if trigger_of(readings) is Trigger.FORECAST and choice.destination is not None:
            against = (*against, *self.ttls.lower(against))
        return decide(case, choice.destination, against), outlooks

    def expected(self, outlooks: Outlooks) -> Iterator[Expected]:
        """Yield what demand is expected, for whoever moves something before the next evaluation."""
        if self.spec.metrics.demand:
            peaks = self._forecaster().peaks(self.measured, outlooks)
            yield Expected(self.spec.name, self.at, self.triggers.horizon, peaks)

    def _forecaster(self) -> Forecaster:
        return Forecaster(
            self.spec,
            self.triggers,
            self.at,
            self.shelf,
            self.foreseen,
            self.thresholds,
            self.model,
        )

    def _questions(self) -> dict[str, Question]:
        """Return what is asked of each metric that the spec declares."""
        horizon, quantile = self.triggers.horizon, self.triggers.quantile
        return {
            name: Question(self.at, horizon, quantile, threshold)
            for name, threshold in self.thresholds.items()
        }

    def _reading(self, name: str, question: Question, outlooks: Outlooks) -> Reading:
        now = self.measured.now(name, self.at)
        outlook = outlooks.metrics.get(name)
        problem = None if outlook else outlooks.problems.get(name) or self._missing(name)
        if now is None and problem is None:
            problem = Blocked(Block.METRICS, f"there is no fresh value of {name}")
        usual = self.measured.usual(name, self.at)
        return read(name, question, now, usual, outlook, problem)

    def _missing(self, name: str) -> Blocked:
        if name == UTILIZATION and self.spec.metrics.utilization is None:
            kinds = ", ".join(self.spec.metrics.demand)
            if self.measured.demand and not self.measured.derived():
                host = self.standing.primaries[self.spec.name]
                return Blocked(Block.METRICS, f"{host} declares no capacity for {kinds}")
        return Blocked(Block.METRICS, "no source has a sample of it")

    def _choice(self, peaks: Mapping[str, float]) -> Choice:
        name = self.spec.name
        ranked: dict[str, tuple[Ranked, ...]] = rank_resources(
            self.context, [self.spec], peaks={name: peaks}
        )
        need = Need(
            now=self.context.now(),
            policy=self.spec.policy,
            max_staleness=self.spec.sync.max_staleness if self.spec.state else None,
            utilization=utilization(self.context, self.context.ledger.primary(name), peaks),
            threshold=self.triggers.utilization,
        )
        return choose(candidates(self.context, self.spec, ranked[name], peaks), need)


def _moment(now: WallTime, spec: ResourceSpec, at: object) -> MetricTime:
    if at in (None, ""):
        return MetricTime(round(spec.metrics.clock.clock().metric(now), 3))
    try:
        return MetricTime(parse_instant(at))
    except ValueError as error:
        raise SpecError(str(error), where="forecast, at") from None


def _thresholds(
    spec: ResourceSpec, triggers: TriggersSpec, measured: Measured, at: MetricTime
) -> dict[str, float | None]:
    """Return the limit of each metric that the spec declares, base units, ``None`` without one."""
    found: dict[str, float | None] = {}
    if spec.metrics.utilization is not None or spec.metrics.demand:
        found[UTILIZATION] = triggers.utilization
    if spec.metrics.latency is not None:
        # The lower of the absolute limit and the one relative to the last day.
        usual, increase = measured.usual(LATENCY, at), triggers.latency_increase
        relative = None if usual is None or increase is None else usual * (1 + increase)
        limits = [limit for limit in (triggers.latency, relative) if limit is not None]
        found[LATENCY] = min(limits, default=None)
    return found


def _triggers(spec: ResourceSpec, given: Mapping[str, Any]) -> TriggersSpec:
    try:
        return TriggersSpec.model_validate(merged(spec.triggers.model_dump(), given))
    except ValidationError as error:
        raise first_problem(error, "forecast, triggers", TriggersSpec) from None
