"""What stands against a move, apart from what agents and directors say.

Asked when it is planned, and again under the lease. A person who names the host is not held up by
mode, windows, cooldown and flapping; a decision is held to everything that it was made under. A
drill can wait: it is held to the windows too.
"""

from __future__ import annotations

from collections.abc import Mapping

from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.spec import PolicyMode, ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.expected import expected
from foreshadow.operations.reservations import reserved
from foreshadow.operations.standing import recorded_facts, troubles_of
from foreshadow.operations.switch_aim import Aim
from foreshadow.operations.switch_drill import drilled_at
from foreshadow.placement.constraints import amount, overflow
from foreshadow.policy.destinations import unproven
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
        self._expected: Mapping[str, Mapping[str, float]] = {}

    def against(self) -> tuple[Blocked, ...]:
        """Return each reason against the move."""
        facts, waived = recorded_facts(self._context, self._spec), self._waived()
        found = [one for one in guards(facts) if one.by not in waived]
        return (*found, *self._unproven(), *self._capacity(), *self._trouble())

    def _waived(self) -> tuple[Block, ...]:
        if self._aim.decision_id is None:
            held = _FOR_DRILLS if self._aim.drill else ()
            return tuple(block for block in _FOR_DECISIONS if block not in held)
        plan, mode = self._aim.plan, self._spec.policy.mode
        approved = plan is not None and plan.id in self._context.ledger.control().approved
        if mode is PolicyMode.MANUAL and (self._planning or approved):
            return (Block.MODE,)
        return ()

    def _unproven(self) -> tuple[Blocked, ...]:
        """A decision goes where a drill has been; the drill itself, and a person, need none."""
        if self._aim.decision_id is None or self._aim.drill:
            return ()
        host, now = self._aim.destination, self._context.now()
        drilled = drilled_at(self._context.ledger, self._spec.name, host)
        return tuple(unproven(host, drilled, self._spec.policy, now))

    def _trouble(self) -> tuple[Blocked, ...]:
        """A destination in trouble is none; a dead source cannot choose."""
        if self._aim.failover:
            return ()
        host = self._aim.destination
        trouble = troubles_of(self._context, self._spec, [host])[host]
        return (Blocked(Block.NO_BENEFIT, trouble),) if trouble else ()

    def _capacity(self) -> tuple[Blocked, ...]:
        """Compare what is expected within the horizon with what the destination can carry.

        Room that others hold there counts as load. Demand that is not known stands against
        nothing, and a dead source cannot wait for room.
        """
        ledger, name = self._context.ledger, self._spec.name
        host = ledger.host(self._aim.destination)
        limits = host.capacity.limits()
        if not limits or self._aim.failover:
            return ()
        held = reserved(self._context, name).get(host.name, frozenset())
        there = [s for s in ledger.resources() if ledger.primary(s.name) == host.name]
        there += [ledger.resource(other) for other in sorted(held)]
        demand = self._demand([self._spec, *there])
        load: dict[str, float] = {}
        for one in there:
            for kind, value in demand[one.name].items():
                load[kind] = load.get(kind, 0.0) + value
        over = overflow(limits, load, demand[name])
        if over is None:
            return ()
        kind, used, limit = over
        holding = f", {', '.join(sorted(held))} held to come back included" if held else ""
        reason = (
            f"with {name}, {host.name} would need {amount(kind, used)} of {kind} within the "
            f"horizon, and has {amount(kind, limit)}{holding}"
        )
        return (Blocked(Block.CAPACITY, reason),)

    def _demand(self, specs: list[ResourceSpec]) -> Mapping[str, Mapping[str, float]]:
        """Return the highest demand of each resource that is expected within the horizon."""
        if not {spec.name for spec in specs} <= set(self._expected):
            self._expected = expected(self._context, specs)
        return self._expected
