"""A controller in a process of its own that stops at one instruction, for something to break there.

It is forked from a server of processes that has imported everything: a controller that begins at
once, and is alone in its process. Leases and the patience with agents are scaled down.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe

from foreshadow.domain.errors import ForeshadowError
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.switchover import engine
from foreshadow.switchover.log import Log, Note
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time
from tests.support.forks import forking

LEASE_SECONDS = 1.2
CALL_SECONDS = 1.0


@dataclass(frozen=True)
class Order:
    """What a controller is to do.

    :ivar step: where it stops; empty for nowhere.
    :ivar how: ``kill`` and ``stop`` itself there, or ``wait`` until it is told to go on.
    """

    connection: Connection
    resource: str
    to: str
    step: str = ""
    moment: str = ""
    how: str = "wait"


class MarkedLog(Log):
    """A journal that lets something happen at one instruction, once.

    Not all lines are written when their step is: those of steps under a hold come with the commit.
    So the instructions are those of the step itself: begun and nothing is done, all is done, and
    on record as far as it will be.
    """

    order: Order
    pipe: Pipe

    @contextmanager
    def taking(self, name: str) -> Iterator[Note]:
        with super().taking(name) as note:
            self._look(name, "before")
            yield note
            self._look(name, "done")
        self._look(name, "journaled")

    def _look(self, name: str, moment: str) -> None:
        order = self.order
        if (name, moment) != (order.step, order.moment):
            return
        MarkedLog.order = replace(order, step="")
        self.pipe.send("at")
        match order.how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case _:
                self.pipe.recv()


class Controller:
    """The process, from outside."""

    def __init__(self, order: Order) -> None:
        context = forking()
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_control, args=(order, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self, seconds: float) -> str:
        """Return what it says next; nothing when it ends without a word.

        :raises TimeoutError: when it says nothing for so long.
        """
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"the controller said nothing for {seconds:g} s")
        try:
            return str(self._pipe.recv())
        except (EOFError, ConnectionResetError):
            return ""

    def tell(self) -> None:
        """Let it begin, or go on."""
        try:
            self._pipe.send("go")
        except BrokenPipeError:
            return  # it is dead, as it should be

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there still."""
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.join(10)
        self._pipe.close()


@contextmanager
def running_controller(order: Order) -> Iterator[Controller]:
    """Give a controller that is ready to begin."""
    controller = Controller(order)
    try:
        assert controller.hear(30) == "ready"
        yield controller
    finally:
        controller.close()


def _control(order: Order, pipe: Pipe) -> None:
    known = order.connection
    MarkedLog.order, MarkedLog.pipe = order, pipe
    engine.Log = MarkedLog  # type: ignore[misc, attr-defined]
    with Ledger.open(str(known.ledger)) as ledger:
        access = Access(ledger.host, known.credentials(), known.timeout)
        context = Context(ledger, access, system_time, lease_seconds=LEASE_SECONDS)
        pipe.send("ready")
        pipe.recv()
        try:
            change = switch_over(context, SwitchRequest(resource=order.resource, to=order.to))
            shown = change.apply()["switchover"]
            said = f"{shown['outcome']} {shown['error'] or ''}".strip()
        except ForeshadowError as error:
            said = f"{type(error).__name__}: {error}"
        pipe.send(said)
        access.close()
