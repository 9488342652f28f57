"""Handing a single writer over: hold, let it finish, seal it, take its state, and let go.

What keeps acknowledged writes is the seal, not the hold: from its seal on the source writes
nothing, whoever reaches it, and the final delta comes after it. The hold only spares clients the
refusals. It ends by itself, so a controller that dies leaves readers served at once, and writers
from the next run on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    ForeshadowError,
    ServiceError,
    SpecError,
)
from foreshadow.domain.fleet import Role
from foreshadow.domain.protocols import Director, HoldingDirector
from foreshadow.domain.spec import ResourceSpec
from foreshadow.domain.units import format_duration
from foreshadow.switchover.stage import Stage
from foreshadow.switchover.step import Step, Undoable

_FOR_THE_REST = 0.5
"""The share of the pause that requests may take to end; the other one is for the state."""
_A_LOOK = 0.05
"""Seconds in which the service is asked at least once."""
_ROUNDS = 3
_SHORT = 0.05
"""Seconds of a round after which another one would not make the last one shorter."""

Result = TypeVar("Result")


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


class Prepare(Undoable):
    """Does ahead of the hold whatever can be done ahead of it.

    The state is copied until little is left, the destination makes its writable copy of it, and
    every way that the handover will use has been used. Its schedule rests meanwhile, so that the
    final delta finds nobody in its way; undoing the fences sets it again.
    """

    name = "prepare"

    def do(self, stage: Stage) -> str:
        """Send, prepare, and ask everybody once."""
        detail = self._send(stage) if stage.spec.state else ""
        stage.at(stage.destination).prepare(stage.resource, stage.token)
        stage.at(stage.source).in_flight(stage.resource)
        for director in holding(stage):
            director.held()
        return detail

    def _send(self, stage: Stage) -> str:
        sync, clock = stage.ports.sync, stage.pace.clock
        sync.schedule(stage.source, (), stage.token)
        version = 0
        for _ in range(_ROUNDS):
            began = clock.monotonic()
            version = sync.send(stage.source, stage.destination, stage.token).version
            if clock.monotonic() - began < _SHORT:
                break
        return f"version {version}"

    def deadline(self, stage: Stage) -> float:
        """A delta may be large."""
        return max(30.0, stage.spec.sync.max_staleness)


class Handover(Undoable):
    """Holds new requests, waits for those in flight, seals the source, sends the final delta.

    It is not tried twice: what does not work at once would be held for too long.
    """

    name = "handover"

    def do(self, stage: Stage) -> str:
        """Hold, wait, seal, send."""
        limit = stage.spec.policy.pause_limit
        clock = stage.pace.clock
        began = clock.monotonic()
        rest = limit * _FOR_THE_REST

        def hold(director: HoldingDirector, within: float) -> bool:
            left = began + limit - clock.monotonic()
            return director.hold(stage.source, left, within, stage.token)

        if stage.spec.service.hooks.go_away:
            at_once(lambda director: hold(director, 0.0), holding(stage))
            stage.let_go(stage.source, may_be_gone=False)
        if not all(at_once(lambda director: hold(director, rest), holding(stage))):
            raise ServiceError(
                f"still has requests open after new ones were held for {format_duration(rest)}",
                where=f"{stage.resource} on {stage.source}",
                remedy="raise policy.pause_limit, or look at what does not end",
            )
        # The directors come first: what is on its way from them is not yet known to the service.
        left = max(_A_LOOK, began + rest - clock.monotonic())
        held = clock.monotonic() - began
        if stage.spec.state:
            way = (stage.source, stage.destination, stage.token)
            stage.handed_over = stage.ports.sync.hand_over(*way, left)
            detail = f"version {stage.handed_over.version}"
        else:
            stage.at(stage.source).seal(stage.resource, stage.token, left)
            detail = "no state to send"
        taken = clock.monotonic() - began - held
        detail += f"; held after {_ms(held)}, sealed and sent in {_ms(taken)}"
        if clock.monotonic() > began + limit:
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
        """Let the source write again, then the requests that are held go on.

        The destination may be promoted, or be it once it wakes: not even undoing its promotion
        tells, where a recovery had to leave that out. So it must not be led to first.
        """
        self._rule_out_destination(stage)
        driver = stage.at(stage.source)
        instance = driver.get(stage.resource)
        if instance is not None and instance.role is Role.PRIMARY:
            driver.unseal(stage.resource, stage.token)
        at_once(lambda director: director.release(stage.token), holding(stage))
        return f"{stage.source} writes again"

    def _rule_out_destination(self, stage: Stage) -> None:
        """Make sure that nobody writes at the destination.

        It is taken out of every director, where only a newer token could let it in again. While
        one of them does not follow, the destination's own word is as good: that it is a shadow.

        :raises ForeshadowError: of the director, when the destination does not give its word.
        """
        try:
            stage.retire(stage.destination)
        except FencedError:
            raise
        except ForeshadowError as lost:
            try:
                stage.demote(stage.destination)
            except FencedError:
                raise
            except ForeshadowError:
                raise lost from None


class Deliver(Step):
    """Sends all traffic to the new primary, and lets go what was held."""

    name = "deliver"

    def do(self, stage: Stage) -> str:
        """Direct, then release."""
        everything, told = {stage.destination: 100}, ""
        try:
            held = at_once(lambda one: one.deliver(everything, stage.token), holding(stage))
        except DirectorError:
            # A director has come back from a reload or from the dead, and forgot the destination.
            stage.admit(stage.destination)
            stage.direct(everything)
            at_once(lambda director: director.release(stage.token), holding(stage))
        else:
            known = [seconds for seconds in held if seconds is not None]
            if len(known) == len(held):
                stage.held_for = max(known)
                told = f"; requests were held for {_ms(stage.held_for)}"
        return f"all traffic on {stage.destination}{told}"


def at_once(
    act: Callable[[HoldingDirector], Result], directors: Sequence[HoldingDirector]
) -> list[Result]:
    """Return what ``act`` gives for each director, all at the same time; wait for all of them.

    :raises ForeshadowError: of the first that failed.
    """
    if len(directors) == 1:
        return [act(directors[0])]
    with ThreadPoolExecutor(len(directors)) as pool:
        futures = [pool.submit(act, director) for director in directors]
    return [future.result() for future in futures]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
