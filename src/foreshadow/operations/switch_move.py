"""One move of one resource: the world read for it, and made so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.clock import isoformat
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.errors import FencedError, RefusedError, RolledBackError, SpecError
from foreshadow.domain.moves import Outcome, Plan, Switchover
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger import Ledger
from foreshadow.operations import switch_drill as drill
from foreshadow.operations import switch_ports
from foreshadow.operations import switch_shown as shown
from foreshadow.operations.context import Context
from foreshadow.operations.switch_actor import Actor
from foreshadow.operations.switch_aim import Aim
from foreshadow.switchover.handover import require_holding
from foreshadow.switchover.plan import HANDOVER, make_plan, require_fresh
from foreshadow.switchover.stage import BlockedError
from foreshadow.switchover.view import look, objections


@dataclass(frozen=True, slots=True)
class Move:
    """One request on one resource: reading the world for it, and making it so.

    :ivar guards: what stands against it, apart from what agents and directors say.
    """

    context: Context
    spec: ResourceSpec
    aim: Aim
    guards: Callable[[], Sequence[Blocked]]

    @property
    def ledger(self) -> Ledger:
        """Return the ledger."""
        return self.context.ledger

    def change(self, *, planned_only: bool) -> Change:
        """Return what would be done."""
        name = self.spec.name
        # Read once: somebody may move it while this looks, and then there is nothing left to do.
        primary = self.ledger.primary(name)
        left = self.ledger.unfinished(name)
        if self._is_done(left):
            return Change({}, {}, {"switchover": self._unchanged()})
        if left and planned_only:
            reason = f"switchover {left[0].id} was left unfinished; recover it first"
            raise BlockedError.of(name, [Blocked(Block.IN_PROGRESS, reason)])
        away = drill.away(self.ledger, name) if self.aim.drill else None
        plan = None if left or away else self.plan()
        if planned_only and plan is not None:
            return self._planned(plan)
        before: dict[str, Any] = {"primary": primary, "unfinished": [one.id for one in left]}
        after: dict[str, Any] = {"primary": self.aim.destination, "unfinished": []}
        if self.aim.drill:
            drilled = drill.drilled_at(self.ledger, name, self.aim.destination)
            before["drilled"] = None if drilled is None else isoformat(drilled)
            after |= {"primary": away.source if away else primary, "drilled": "now"}
        preview = {"switchover": self._as_planned(plan)}
        return Change(before, after, preview, lambda: self.perform(plan))

    def plan(self) -> Plan:
        """Return the plan for the world as it is now.

        :raises RefusedError: with every reason against it.
        """
        now, name = self.context.now(), self.spec.name
        source = self.ledger.primary(name)
        reach = switch_ports.ports(self.context, self.spec)
        view = look(
            self.spec,
            source,
            self.aim.destination,
            reach.instances,
            reach.directors,
            lambda: reach.sync.standing(source, self.aim.destination),
            now,
        )
        found = (*objections(view, failover=self.aim.failover), *self.guards())
        if found:
            raise BlockedError.of(name, found)
        plan = make_plan(
            view,
            now,
            drill=self.aim.drill,
            failover=self.aim.failover,
            decision_id=self.aim.decision_id,
        )
        if HANDOVER in plan.steps:
            require_holding(self.spec, reach.directors)
        if self.aim.plan is not None:
            require_fresh(self.aim.plan, plan, now)
        return plan

    def perform(self, plan: Plan | None) -> dict[str, Any]:
        """Take the lease, end what was left, and move.

        :param plan: what was planned; ``None`` when something was left that comes first.
        :returns: ``switchover``, and ``recovered`` when something was left, also before a refusal.
        """
        source = self.ledger.primary(self.spec.name)
        recovered: list[dict[str, Any]] = []
        try:
            with Actor(self.context, self.spec) as actor:
                recovered += [shown.moved(one) for one in actor.recover()]
                moved = self._act(actor, None if recovered else plan)
        except FencedError:
            raise
        except RolledBackError as error:
            (ended, *_) = self.ledger.switchovers(self.spec.name, limit=1)
            error.switchover = shown.moved(ended)
            raise
        except RefusedError as error:
            destination, decision_id = self.aim.destination, self.aim.decision_id
            moved = shown.refusal(error, source, destination, decision_id)
        return {"switchover": moved} | ({"recovered": recovered} if recovered else {})

    def _act(self, actor: Actor, plan: Plan | None) -> dict[str, Any]:
        if self._is_done(()):
            return self._unchanged()
        if self.aim.drill:
            return self._drill(actor)
        current = self.plan() if plan is None else plan
        return shown.moved(actor.move(current, self.aim.outcome, self.guards))

    def _drill(self, actor: Actor) -> dict[str, Any]:
        """Go and come back; a drill that never came back only has to do that.

        Nothing but the world itself may stand against the way back.
        """
        away = drill.away(self.ledger, self.spec.name)
        if away is None:
            away = actor.move(self.plan(), Outcome.SWITCHED, self.guards)
            if away.outcome is None:
                return shown.moved(away)
        actor.bring_up_to_date(away.destination, away.source)
        home = Aim(away.source, Outcome.REVERSED, drill=True)
        plan = Move(self.context, self.spec, home, tuple).plan()
        back = actor.move(plan, Outcome.REVERSED, tuple)
        return {**shown.moved(away), "outcome": Outcome.REVERSED.value, "back": shown.moved(back)}

    def _is_done(self, left: Sequence[Switchover]) -> bool:
        """Return whether the resource is where it is wanted, and nothing is left to end."""
        if left:
            return False
        if not self.aim.drill:
            return self.ledger.primary(self.spec.name) == self.aim.destination
        drilled = drill.drilled_at(self.ledger, self.spec.name, self.aim.destination)
        most = self.spec.policy.drill_max_age
        fresh = drilled is not None and most is not None and self.context.now() - drilled <= most
        return fresh and drill.away(self.ledger, self.spec.name) is None

    def _planned(self, plan: Plan) -> Change:
        preview = {"switchover": self._as_planned(plan)}
        stored = self._stored(plan.id)

        def perform() -> dict[str, Any]:
            self.ledger.put_plan(plan)
            return preview

        return Change({"plan": stored}, {"plan": plan.id}, preview, perform)

    def _stored(self, plan_id: str) -> str | None:
        try:
            known = self.ledger.plan(plan_id)
        except SpecError:
            return None
        return known.id if known.expires_at > self.context.now() else None

    def _as_planned(self, plan: Plan | None) -> dict[str, Any]:
        source = self.ledger.primary(self.spec.name)
        return shown.planned(plan, source, self.aim.destination, self.aim.decision_id)

    def _unchanged(self) -> dict[str, Any]:
        return shown.unchanged(self.ledger.primary(self.spec.name), self.aim.decision_id)
