"""Guards that can be taken out, one at a time, to see that the state machine misses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from foreshadow.domain.errors import ServiceError
from foreshadow.domain.fleet import Acknowledged
from foreshadow.domain.moves import StepRecord, StepState
from foreshadow.domain.protocols import Endpoint
from foreshadow.ledger import journal, leases
from foreshadow.switchover import after, before, engine, recovery
from foreshadow.switchover.log import Log
from foreshadow.switchover.stage import Stage
from tests.unit.switchover.world import NAME, FakeInstances, FakeSync, World

Take = Callable[[pytest.MonkeyPatch], None]
Keep = Callable[[Take], Take]


class Guard(NamedTuple):
    """A guard that can be taken out, and where to look for what it protects from.

    :ivar take: takes it out.
    :ivar resources: that it is about; empty for all.
    :ivar kinds: of faults that it is about; empty for all.
    :ivar places: that it is about; empty for all.
    """

    take: Take
    resources: tuple[str, ...]
    kinds: tuple[str, ...]
    places: tuple[str, ...]


REMOVED: dict[str, Guard] = {}
"""By what is promised: the guard that keeps it."""


def _removes(promise: str, resources: str = "", kinds: str = "", places: str = "") -> Keep:
    """Register a guard; several words are parted by commas."""

    def keep(take: Take) -> Take:
        words = [tuple(w for w in text.split(", ") if w) for text in (resources, kinds, places)]
        REMOVED[promise] = Guard(take, *words)
        return take

    return keep


def _nothing(*_args: Any, **_options: Any) -> str:
    return ""


@_removes("agents and directors refuse older tokens", kinds="frozen, killed")
def _fences(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "fencing", property(lambda _: False, lambda *_: None))


@_removes("the ledger refuses older tokens", kinds="frozen")
def _ledger_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(journal, "check_token", _nothing)
    patch.setattr(leases, "check_token", _nothing)


@_removes("a step is written down before it is done")
def _write_ahead(patch: pytest.MonkeyPatch) -> None:
    def write(log: Log, record: StepRecord) -> None:
        if record.state is not StepState.STARTED:
            log._ledger.step(log._keeper.lease, log._id, record)
        log._records[record.name] = record

    patch.setattr(Log, "_write", write)


@_removes("a step is written down after it is done")
def _write_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Log, "_close", _nothing)


@_removes("what was done last is undone first")
def _order(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine, "reversed", iter, raising=False)


@_removes("a plan holds only in the world that it saw", "at once")
def _digest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(before, "require_fresh", _nothing)


@_removes("drift is looked for before the first step")
def _objections(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(before, "objections", lambda *_args, **_options: ())


@_removes("the destination is looked at while it has all the traffic")
def _verify(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(before.Verify, "do", _nothing)


@_removes("what a person changes in the middle is told", "stepwise", "meddled", "soak-50")
def _watch(patch: pytest.MonkeyPatch) -> None:
    def watch(stage: Stage, percent: int, successes: int = 1) -> tuple[Endpoint, ...]:
        stage.at(stage.destination).health(stage.resource, successes)
        return tuple(seen for director in stage.ports.directors for seen in director.read())

    patch.setattr(before, "watch", watch)


@_removes("the source is let go only when nothing is open there")
def _quiet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stage, "quiet", lambda *_args, **_options: True)


@_removes(
    "who does not say what is open is not put to rest",
    "at once",
    "silent, unreachable",
    "verify, drain, undo admit",
)
def _silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stage, "_stays_silent", lambda *_args: True)
    patch.setattr(Stage, "require_idle", _nothing)


@_removes("the directors keep it before the source is put to rest", "at once")
def _persist(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(after.Persist, "do", _nothing)


@_removes(
    "after the commit there is only forward",
    "at once",
    kinds="killed, unreachable",
    places="commit, retire, demote, freeze",
)
def _pivot(patch: pytest.MonkeyPatch) -> None:
    class Backward(engine.Engine):
        settle = engine.Engine.undo

    patch.setattr(recovery, "Engine", Backward)


@_removes(
    "a single writer writes nothing after it was sealed",
    "single writer",
    "slow, reloaded",
    "promote, commit",
)
def _seal(patch: pytest.MonkeyPatch) -> None:
    def seal(driver: FakeInstances, resource: str, token: int, within: float = 0.0) -> None:
        driver._heard(token)

    patch.setattr(FakeInstances, "seal", seal)


@_removes("the final delta comes after the seal", "single writer", "reloaded", "promote")
def _final_delta(patch: pytest.MonkeyPatch) -> None:
    def hand_over(
        sync: FakeSync, source: str, destination: str, token: int, within: float
    ) -> Acknowledged:
        """Wait for what is open, send, and seal only then."""
        writer, end = FakeInstances(sync.world, sync.world.machines[source]), sync.world.at + within
        while writer.in_flight(NAME):
            if sync.world.at >= end:
                raise ServiceError("still has requests open", where=source)
            sync.world.sleep(0.1)
        acknowledged = sync.send(source, destination, token)
        writer.seal(NAME, token)
        return acknowledged

    patch.setattr(FakeSync, "hand_over", hand_over)
