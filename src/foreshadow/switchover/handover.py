"""Handing a single writer over: hold, let it finish, seal it, take its state, and let go.

What keeps acknowledged writes is the seal, not the hold: from its seal on the source writes
nothing, whoever reaches it, and the final delta comes after it. The hold only spares clients the
refusals. It ends by itself, so a controller that dies leaves readers served at once, and writers
from the next run on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from foreshadow.domain.errors import DirectorError, ServiceError, SpecError
from foreshadow.domain.fleet import Role
from foreshadow.domain.protocols import Director, HoldingDirector
from foreshadow.domain.spec import ResourceSpec
from foreshadow.domain.units import format_duration
from foreshadow.switchover.stage import Stage
from foreshadow.switchover.step import Step, Undoable

_FOR_THE_REST = 0.5
"""The share of the pause that requests may take to end; the other one is for the state."""


def require_holding(spec: ResourceSpec, directors: Sequence[Director]) -> None:
    """Refuse a pause that a director cannot give.

    :raises SpecError: when it is of a kind that cannot hold requests.
    :raises DirectorError: when one of its servers is not configured to.
    """
    for written, director in zip(spec.directors, directors, strict=False):
        if not isinstance(director, HoldingDirector):
            raise SpecError(
                f"pause_writes is on, and a director of kind {written.kind} cannot hold requests",
                where=f"resource {spec.name}",
                remedy="leave pause_writes out, or use haproxy",
            )
        director.held()


def holding(stage: Stage) -> tuple[HoldingDirector, ...]:
    """Return the directors; the preflight has seen that each can hold requests."""
    return cast("tuple[HoldingDirector, ...]", stage.ports.directors)


class Handover(Undoable):
    """Holds new requests, waits for those in flight, seals the source, sends the final delta.

    It is not tried twice: what does not work at once would be held for too long.
    """

    name = "handover"

    def do(self, stage: Stage) -> str:
        """Hold, wait, seal, send."""
        limit = stage.spec.policy.pause_limit
        end = stage.pace.clock.monotonic() + limit
        for director in holding(stage):
            director.hold(limit, stage.token)
        stage.let_go(stage.source, may_be_gone=False)
        seconds = limit * _FOR_THE_REST
        if not stage.pace.until(lambda: stage.quiet(stage.source, may_be_gone=False), seconds):
            raise ServiceError(
                f"still has requests open after new ones were held for {format_duration(seconds)}",
                where=f"{stage.resource} on {stage.source}",
                remedy="raise policy.pause_limit, or look at what does not end",
            )
        stage.at(stage.source).seal(stage.resource, stage.token)
        detail = ""
        if stage.spec.state:
            sent = stage.ports.sync.send(stage.source, stage.destination, stage.token)
            stage.handed_over = sent
            detail = f"version {sent.version}"
        if stage.pace.clock.monotonic() > end:
            raise ServiceError(
                f"could not be handed over within {format_duration(limit)}",
                where=f"resource {stage.resource}",
                remedy="raise policy.pause_limit, or make its state smaller",
            )
        return detail

    def deadline(self, stage: Stage) -> float:
        """One try."""
        return 0.0

    def undo(self, stage: Stage) -> str:
        """Let the source write again, then the requests that are held go on."""
        driver = stage.at(stage.source)
        instance = driver.get(stage.resource)
        if instance is not None and instance.role is Role.PRIMARY:
            driver.unseal(stage.resource, stage.token)
        for director in holding(stage):
            director.release(stage.token)
        return f"{stage.source} writes again"


class Deliver(Step):
    """Sends all traffic to the new primary, and lets go what was held."""

    name = "deliver"

    def do(self, stage: Stage) -> str:
        """Direct, then release."""
        everything = {stage.destination: 100}
        try:
            stage.direct(everything)
        except DirectorError:
            # A director has come back from a reload or from the dead, and forgot the destination.
            stage.admit(stage.destination)
            stage.direct(everything)
        for director in holding(stage):
            director.release(stage.token)
        if stage.handed_over is not None:
            stage.ledger.acknowledge(stage.handed_over)
        return f"all traffic on {stage.destination}"
