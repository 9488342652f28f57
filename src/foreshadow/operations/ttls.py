"""Lowering the TTLs of cached directors before a move that is ahead, and restoring them after it.

A name with a TTL of an hour keeps clients away from a new host for an hour. So when a forecast asks
for a move, the TTL is lowered at once, and the move waits until every answer with the old one has
run out: then it is over within seconds. The ledger knows what a TTL was before it is touched, so
whoever comes after a crash lowers it again or restores it, and never takes the low one for what
it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from foreshadow.domain.clock import WallTime, isoformat
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.errors import ForeshadowError, LeaseHeldError, RefusedError
from foreshadow.domain.protocols import CachingDirector
from foreshadow.domain.spec import PolicyMode, ResourceSpec
from foreshadow.domain.units import format_duration
from foreshadow.ledger.holder import this_process
from foreshadow.ledger.ttls import LoweredTtl
from foreshadow.operations.context import Context
from foreshadow.operations.unfinished import refuse_unfinished
from foreshadow.switchover.caches import caching

_LEASE_SECONDS = 120.0
_ROUNDING = 1.0
"""Caches count whole seconds."""


class Ttls:
    """The TTLs of one resource's directors.

    :param acts: false where nothing may be changed, as in check mode: then it only tells.
    """

    def __init__(self, context: Context, spec: ResourceSpec, *, acts: bool) -> None:
        self._context = context
        self._spec = spec
        self._acts = acts

    def lower(self, against: Iterable[Blocked]) -> tuple[Blocked, ...]:
        """Lower them for a move that a forecast asks for; return what has to be waited for.

        Nothing is touched for a resource that is only watched, or paused.

        :param against: what stands against the move anyway.
        """
        paused = any(block.by is Block.PAUSED for block in against)
        if paused or self._spec.policy.mode is PolicyMode.FORECAST_ONLY:
            return ()
        known = self._context.ledger.lowered_ttls(self._spec.name)
        try:
            if self._acts:
                known = self._lowered(known)
        except LeaseHeldError:
            pass  # somebody moves it, or lowers them just now: what is known counts
        except ForeshadowError as error:
            return (Blocked(Block.DRIFT, f"a TTL could not be lowered for the move: {error}"),)
        return tuple(self._waiting(known.values()))

    def restore(self) -> tuple[Blocked, ...]:
        """Restore them when no move is ahead any more; return what is in the way.

        One that a person has changed meanwhile is left as it is.
        """
        if not self._acts or not self._context.ledger.lowered_ttls(self._spec.name):
            return ()
        try:
            with self._leased() as token:
                directors = {d.name: d for d in self._cached()}
                for row in self._context.ledger.lowered_ttls(self._spec.name).values():
                    self._restore(directors.get(row.director), row, token)
        except RefusedError:
            return ()  # it is being moved, or was left half-way: later
        except ForeshadowError as error:
            return (Blocked(Block.DRIFT, f"a lowered TTL could not be restored: {error}"),)
        return ()

    def _lowered(self, known: dict[str, LoweredTtl]) -> dict[str, LoweredTtl]:
        """Lower what is not lowered yet; return all that are."""
        todo = [d for d in self._cached() if not _is_lowered(known.get(d.name))]
        if not any(d.name in known or _too_long(d) for d in todo):
            return known
        with self._leased() as token:
            known = self._context.ledger.lowered_ttls(self._spec.name)
            for director in todo:
                if not _is_lowered(known.get(director.name)):
                    self._lower(director, known.get(director.name), token)
        return self._context.ledger.lowered_ttls(self._spec.name)

    def _lower(self, director: CachingDirector, begun: LoweredTtl | None, token: int) -> None:
        """Lower one, written down before and after.

        :param begun: what another process began; only it knows what the TTL was.
        """
        lower = director.armed_ttl()
        if begun is None:
            before = director.ttl()
            if lower is None or before <= lower:
                return
            begun = LoweredTtl(self._spec.name, director.name, before, lower)
            self._context.ledger.begin_lowering(begun)
        director.set_ttl(begun.lowered, token)
        movable_at = WallTime(self._context.now() + begun.before + _ROUNDING)
        self._context.ledger.end_lowering(begun, movable_at)

    def _restore(self, director: CachingDirector | None, row: LoweredTtl, token: int) -> None:
        if director is not None and director.ttl() == row.lowered:
            director.set_ttl(row.before, token)
        self._context.ledger.forget_lowered(row)

    def _waiting(self, known: Iterable[LoweredTtl]) -> Iterator[Blocked]:
        now = self._context.now()
        for row in known:
            lowered = (
                f"the TTL of {row.director} is lowered from {format_duration(row.before)} to "
                f"{format_duration(row.lowered)}"
            )
            if row.movable_at is None:
                yield Blocked(Block.IN_PROGRESS, f"{lowered} just now")
            elif row.movable_at > now:
                at = isoformat(row.movable_at)
                yield Blocked(
                    Block.IN_PROGRESS, f"{lowered}: caches forget the old one by {at}, movable then"
                )

    def _cached(self) -> tuple[CachingDirector, ...]:
        return caching(self._context.directors(self._spec))

    @contextmanager
    def _leased(self) -> Iterator[int]:
        """Hold the lease, so that nobody moves the resource meanwhile."""
        ledger, name = self._context.ledger, self._spec.name
        lease = ledger.acquire(name, this_process(), _LEASE_SECONDS)
        try:
            refuse_unfinished(self._context, name)
            yield lease.token
        finally:
            ledger.release(lease)


def _is_lowered(row: LoweredTtl | None) -> bool:
    return row is not None and row.movable_at is not None


def _too_long(director: CachingDirector) -> bool:
    lower = director.armed_ttl()
    return lower is not None and director.ttl() > lower
