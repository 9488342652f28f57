"""A controller that stops at one instruction, for something to be done to the world there.

``python chaos_controller.py LEDGER CA CERT KEY TO STEP MOMENT HOW``: at the moment ``before``
(the step is begun in the journal and nothing is done), ``done`` (it is done, and not written down)
or ``journaled`` it kills itself (``kill``), stops itself (``stop``) or says ``at`` and goes on when
it is told to (``wait``). The lease and the patience with agents are scaled down.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Sequence

from foreshadow.domain.moves import Lease, StepRecord, StepState
from foreshadow.ledger import Ledger
from foreshadow.operations import switch_actor
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time

LEASE_SECONDS = 2.0
CALL_SECONDS = 1.5


class MarkedLedger(Ledger):
    """A ledger that lets something happen around one line of the journal."""

    mark: tuple[str, str] = ("", "")
    how = "wait"

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        if (step.name, step.state) == (self.mark[0], StepState.DONE) and self.mark[1] == "done":
            self._happens()
        super().step(lease, switchover_id, step)
        moment = {StepState.STARTED: "before", StepState.DONE: "journaled"}.get(step.state)
        if (step.name, moment) == self.mark:
            self._happens()

    def pivot(self, lease: Lease, switchover_id: str, lines: Sequence[StepRecord] = ()) -> None:
        """The lines of the steps that are taken while requests are held come with the commit."""
        closed = {(line.name, moment) for line in lines[:-1] for moment in ("done", "journaled")}
        if self.mark in closed | {("commit", "before")} - {("commit", "journaled")}:
            self._happens()
        super().pivot(lease, switchover_id, lines)
        if lines and self.mark in {("commit", "journaled"), (lines[-1].name, "before")}:
            self._happens()

    def _happens(self) -> None:
        self.mark = ("", "")
        print("at", flush=True)
        match self.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case _:
                sys.stdin.readline()


def main() -> None:
    url, ca, cert, key, to, step, moment, how = sys.argv[1:]
    switch_actor.LeaseKeeper = functools.partial(  # type: ignore[misc, assignment]
        LeaseKeeper, ttl=LEASE_SECONDS
    )
    connection = Connection(url, ca, cert, key, CALL_SECONDS)
    with MarkedLedger.open(url) as ledger:
        ledger.mark, ledger.how = (step, moment), how
        access = Access(ledger.host, connection.credentials(), connection.timeout)
        context = Context(ledger, access, system_time)
        print("ready", flush=True)
        sys.stdin.readline()
        change = switch_over(context, SwitchRequest(resource="checkout", to=to))
        shown = change.apply()["switchover"]
        print(shown["outcome"], shown["error"] or "", flush=True)
        access.close()


if __name__ == "__main__":
    main()
