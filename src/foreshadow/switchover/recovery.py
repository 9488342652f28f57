"""Finishing or undoing what a dead controller left, under a new lease and its newer token."""

from __future__ import annotations

from contextlib import suppress

from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.domain.protocols import RelayedDirector
from foreshadow.switchover.engine import Engine, UnfinishedError
from foreshadow.switchover.stage import Stage


def recover(stage: Stage, left: Switchover) -> Switchover:
    """Bring one unfinished switchover to its end.

    Pivoted, it is finished; else it is undone, unless the source no longer serves: then it is
    finished too. Doing it again, or dying in the middle of it, does no harm.

    :param left: as the journal has it now, read under the lease.
    :raises UnfinishedError: when something is still in the way; traffic is served meanwhile.
    """
    if any(record.name == "fence" for record in left.steps):
        _raise_fences(stage)
    engine = Engine(stage, left, Outcome.RECOVERED, recovering=True)
    if left.pivoted:
        ended = engine.settle()
    elif engine.source_is_gone():
        ended = engine.push_through("found by the recovery")
    else:
        ended = engine.undo()
    if ended.outcome is None:
        raise UnfinishedError(
            f"the switchover to {stage.destination} could not be finished: {ended.error}",
            where=f"resource {stage.resource}",
            remedy="traffic is served; put that right and run recover again",
        )
    return ended


def _raise_fences(stage: Stage) -> None:
    """Make sure that the late actor is refused, before anything is looked at."""
    for host in (stage.source, stage.destination):
        # What is to be done at one that does not answer tells whether it matters.
        with suppress(UnreachableError):
            stage.ports.raise_fence(host, stage.token)
    for director in stage.ports.directors:
        if isinstance(director, RelayedDirector):
            with suppress(UnreachableError):
                director.fence(stage.token)
