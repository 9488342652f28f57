"""What stands against a move, apart from what agents and directors say.

Asked when it is planned, and again under the lease. A person who names the host is not held up by
mode, windows, cooldown and flapping; a decision is held to everything that it was made under. A
drill can wait: it is held to the windows too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.series import Window
from foreshadow.domain.spec import PolicyMode, ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.series import fetch_metrics
from foreshadow.operations.standing import recorded_facts
from foreshadow.operations.switch_aim import Aim
from foreshadow.placement.constraints import amount, overflow
from foreshadow.policy.guards import guards

_FOR_DECISIONS = (Block.MODE, Block.WINDOW, Block.COOLDOWN, Block.FLAPPING)
_FOR_DRILLS = (Block.WINDOW,)


class Guards:
    """The guards of one move.

    Demand is measured once, when it is first needed; everything else is read at every question.

    :param planning: the move is only planned: a plan is what a person approves.
    """

    def __init__(
        self, context: Context, spec: ResourceSpec, aim: Aim, *, planning: bool = False
    ) -> None:
        self._context = context
        self._spec = spec
        self._aim = aim
        self._planning = planning
        self._measured: Mapping[str, Mapping[str, float]] | None = None

    def against(self) -> tuple[Blocked, ...]:
        """Return each reason against the move."""
        facts, waived = recorded_facts(self._context, self._spec), self._waived()
        found = [one for one in guards(facts) if one.by not in waived]
        return (*found, *self._capacity())

    def _waived(self) -> tuple[Block, ...]:
        if self._aim.decision_id is None:
            held = _FOR_DRILLS if self._aim.drill else ()
            return tuple(block for block in _FOR_DECISIONS if block not in held)
        plan, mode = self._aim.plan, self._spec.policy.mode
        approved = plan is not None and plan.id in self._context.ledger.control().approved
        if mode is PolicyMode.MANUAL and (self._planning or approved):
            return (Block.MODE,)
        return ()

    def _capacity(self) -> tuple[Blocked, ...]:
        """Compare what is measured now with what the destination can carry.

        Demand that is not known stands against nothing, and a dead source cannot wait for room.
        """
        ledger, name = self._context.ledger, self._spec.name
        host = ledger.host(self._aim.destination)
        limits = host.capacity.limits()
        if not limits or self._aim.failover:
            return ()
        there = [s for s in ledger.resources() if ledger.primary(s.name) == host.name]
        demand = self._demand([self._spec, *there])
        load: dict[str, float] = {}
        for one in there:
            for kind, value in demand.get(one.name, {}).items():
                load[kind] = load.get(kind, 0.0) + value
        over = overflow(limits, load, demand.get(name, {}))
        if over is None:
            return ()
        kind, used, limit = over
        reason = (
            f"with {name}, {host.name} would need {amount(kind, used)} of {kind}, "
            f"and has {amount(kind, limit)}"
        )
        return (Blocked(Block.CAPACITY, reason),)

    def _demand(self, specs: list[ResourceSpec]) -> Mapping[str, Mapping[str, float]]:
        """Return the highest demand of each resource over the last horizon."""
        if self._measured is None or not {spec.name for spec in specs} <= set(self._measured):
            now = self._context.now()
            fetched = fetch_metrics(self._context, specs, lambda spec: _last_horizon(spec, now))
            self._measured = {
                name: {
                    kind: max(value for value in series.values if not math.isnan(value))
                    for kind, series in found.demand.items()
                    if series.present()
                }
                for name, found in fetched.items()
            }
        return self._measured


def _last_horizon(spec: ResourceSpec, now: WallTime) -> Window:
    end = spec.metrics.clock.clock().metric(now)
    length = max(spec.triggers.horizon, spec.metrics.step)
    return Window(MetricTime(end - length), end, spec.metrics.step)
