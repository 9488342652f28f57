"""A controller as a process of its own: moves the resource, and may be killed at a given line.

``python controller.py LEDGER CA CERT KEY TO [STEP STATE]``: with a step and a state it ends by
SIGKILL right after the journal has that line, before anything else happens.
"""

from __future__ import annotations

import os
import signal
import sys

from foreshadow.domain.moves import Lease, StepRecord
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time


class FatalLedger(Ledger):
    """A ledger that kills its process once it has written a certain line."""

    fatal: tuple[str, ...] = ()

    def step(self, lease: Lease, switchover_id: str, step: StepRecord) -> None:
        super().step(lease, switchover_id, step)
        if (step.name, step.state.value) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    url, ca, cert, key, to, *fatal = sys.argv[1:]
    connection = Connection(url, ca, cert, key)
    with FatalLedger.open(url) as ledger:
        ledger.fatal = tuple(fatal)
        access = Access(ledger.host, connection.credentials(), connection.timeout)
        context = Context(ledger, access, system_time)
        change = switch_over(context, SwitchRequest(resource="checkout", to=to))
        print(change.apply()["switchover"]["outcome"], flush=True)
        access.close()


if __name__ == "__main__":
    main()
