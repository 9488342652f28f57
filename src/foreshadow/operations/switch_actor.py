"""Acting on one resource: the lease held, what was left ended, then the move."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from foreshadow.domain.decision import Blocked
from foreshadow.domain.moves import Outcome, Plan, Switchover
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger.holder import is_dead, this_process
from foreshadow.operations import switch_ports
from foreshadow.operations.context import Context
from foreshadow.switchover.engine import Engine
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.switchover.pace import Clock, Pace, Stop
from foreshadow.switchover.recovery import recover
from foreshadow.switchover.stage import Stage


class Actor:
    """The only one who acts on a resource, for the length of a ``with`` block.

    While it lasts, SIGTERM and SIGINT ask for a stop at the next safe point.

    :raises LeaseHeldError: when somebody else acts on it; it names them.
    """

    def __init__(self, context: Context, spec: ResourceSpec) -> None:
        self._context = context
        self._spec = spec
        self._stop = Stop()
        self._clock = Clock(context.now)
        self._keeper = LeaseKeeper(
            context.ledger, spec.name, this_process(), is_dead, context.now, context.lease_seconds
        )
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(self._keeper)
        self._held.enter_context(switch_ports.stopping_on_signals(self._stop))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.__exit__(kind, error, trace)

    def recover(self) -> list[Switchover]:
        """Finish or undo what earlier runs left, and return how each ended.

        :raises UnfinishedError: when that is not possible now.
        """
        return [
            recover(self._stage(left.plan), left)
            for left in self._context.ledger.unfinished(self._spec.name)
        ]

    def bring_up_to_date(self, source: str, destination: str) -> None:
        """Send the state of a primary to one host now, and wait until it has it.

        A host that was left a moment ago has received nothing yet from the one that follows it.

        :raises SyncError: when it could not be captured, sent or applied.
        """
        if not self._spec.state:
            return
        sync = switch_ports.ports(self._context, self._spec).sync
        pace = Pace(self._clock, self._keeper.check, self._stop)
        acknowledged = pace.retry(
            lambda: sync.send(source, destination, self._keeper.token),
            max(30.0, self._spec.sync.max_staleness),
        )
        self._context.ledger.acknowledge(acknowledged)

    def move(
        self, plan: Plan, outcome: Outcome, guards: Callable[[], Sequence[Blocked]]
    ) -> Switchover:
        """Make the move that was planned; see :meth:`foreshadow.switchover.engine.Engine.run`.

        :param guards: what stands against it now, asked again under the lease.
        """
        begun = Switchover(
            id=uuid.uuid4().hex,
            resource=plan.resource,
            source=plan.seen.source,
            destination=plan.seen.destination,
            plan=plan,
            token=self._keeper.token,
            started_at=self._context.now(),
            decision_id=plan.decision_id,
        )
        stage = self._stage(plan)
        stage.guards = guards
        return Engine(stage, begun, outcome).run()

    def _stage(self, plan: Plan) -> Stage:
        return Stage(
            spec=self._spec,
            plan=plan,
            ledger=self._context.ledger,
            keeper=self._keeper,
            pace=Pace(self._clock, self._keeper.check, self._stop),
            ports=switch_ports.ports(self._context, self._spec),
        )
