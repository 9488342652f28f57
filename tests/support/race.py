"""Controllers that begin the same switchover at once, each a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from typing import Any

from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.moves import Outcome
from foreshadow.ledger import Ledger
from foreshadow.ledger.holder import this_process
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time
from tests.support.fleet import NAME, Fleet
from tests.support.forks import forking

HOSTS = ("edge-a", "edge-b")
PATIENCE = 180.0
"""Seconds for a process to begin, or to end, on a machine that does much else."""


@dataclass(frozen=True)
class Said:
    """What a contender said at its end.

    :ivar who: it is, as holder of a lease.
    """

    who: str
    outcome: str
    error: str
    refused_by: tuple[str, ...] = ()


def way(fleet: Fleet) -> tuple[str, str]:
    """Return where the primary is, and the host that it can go to."""
    here = fleet.ledger.primary(NAME)
    return here, HOSTS[here == HOSTS[0]]


def race(fleet: Fleet, to: str, count: int) -> list[Said]:
    """Let so many controllers start the same move at once; return what each said."""
    context = forking()
    begin = context.Event()
    pipes, processes = [], []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_contend, args=(fleet.connection, to, begin, theirs), daemon=True
            )
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        for pipe in pipes:
            assert _heard(pipe) == "ready"
        begin.set()
        return [_heard(pipe) for pipe in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join(10)
        for pipe in pipes:
            pipe.close()


def judge(fleet: Fleet, to: str, said: list[Said], moves_before: int) -> list[str]:
    """Return what is wrong about how a race ended: one moves, the others say who."""
    movers = [one for one in said if one.outcome == Outcome.SWITCHED]
    wrong = [] if len(movers) == 1 else [f"{len(movers)} moved it"]
    holders = {one.who for one in said}
    for one in said:
        match one.outcome:
            case Outcome.SWITCHED if not one.error:
                pass
            case Outcome.UNCHANGED:  # it came when all was done
                pass
            case Outcome.REFUSED if one.refused_by == ("in_progress",):
                if not any(holder in one.error for holder in holders):
                    wrong.append(f"does not say who: {one.error}")
            case _:
                wrong.append(f"{one.outcome}: {one.error}")
    if fleet.ledger.primary(NAME) != to:
        wrong.append(f"the primary is not on {to}")
    if len(fleet.ledger.switchovers(NAME)) != moves_before + 1:
        wrong.append("the ledger has not one more switchover")
    return wrong


def _heard(pipe: Pipe) -> Any:
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"a contender said nothing for {PATIENCE:g} s")
    return pipe.recv()


def _contend(known: Connection, to: str, begin: Event, pipe: Pipe) -> None:
    with Ledger.open(str(known.ledger)) as ledger:
        access = Access(ledger.host, known.credentials(), known.timeout)
        context = Context(ledger, access, system_time)
        pipe.send("ready")
        begin.wait()
        try:
            shown = switch_over(context, SwitchRequest(resource=NAME, to=to)).apply()["switchover"]
            names = tuple(shown["refused_by"])
            said = Said(this_process(), shown["outcome"], shown["error"] or "", names)
        except ForeshadowError as error:
            said = Said(this_process(), type(error).__name__, str(error))
        pipe.send(said)
        access.close()
