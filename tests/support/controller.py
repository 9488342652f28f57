"""A controller as a process of its own: moves the resource, and may be killed at a given line.

``python controller.py LEDGER CA CERT KEY TO [STEP STATE]``: with a step and a state it ends by
SIGKILL right after the journal has that line, before anything else happens; with ``taken`` instead
of a state right after the step was taken, which nothing has told to the journal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from foreshadow.domain.moves import Lease, StepRecord
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.switchover import outline
from foreshadow.switchover.stage import Stage
from foreshadow.switchover.step import Step
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time


class FatalLedger(Ledger):
    """A ledger that kills its process once it has written a certain line."""

    fatal: tuple[str, ...] = ()

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        super().step(lease, switchover_id, step)
        if (step.name, step.state.value) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def pivot(self, lease: Lease, switchover_id: str, lines: Sequence[StepRecord] = ()) -> None:
        super().pivot(lease, switchover_id, lines)
        if self.fatal in {(line.name, line.state.value) for line in lines}:
            os.kill(os.getpid(), signal.SIGKILL)


def die_once_taken(name: str) -> None:
    """Make a step the last thing that this process does."""
    step = ({**outline._BEFORE, **outline._AFTER})[name]
    do = step.do

    def last(self: Step, stage: Stage) -> str:
        do(self, stage)
        os.kill(os.getpid(), signal.SIGKILL)
        return ""

    step.do = last  # type: ignore[method-assign]


def main() -> None:
    url, ca, cert, key, to, *fatal = sys.argv[1:]
    connection = Connection(url, ca, cert, key)
    if fatal[1:] == ["taken"]:
        die_once_taken(fatal[0])
    with FatalLedger.open(url) as ledger:
        ledger.fatal = tuple(fatal)
        access = Access(ledger.host, connection.credentials(), connection.timeout)
        context = Context(ledger, access, system_time)
        change = switch_over(context, SwitchRequest(resource="checkout", to=to))
        print(change.apply()["switchover"]["outcome"], flush=True)
        access.close()


if __name__ == "__main__":
    main()
