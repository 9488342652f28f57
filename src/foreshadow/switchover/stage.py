"""What a switchover acts on and through: the plan, the lease and everything that is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Blocked
from foreshadow.domain.errors import DirectorError, RefusedError, ServiceError, UnreachableError
from foreshadow.domain.fleet import Acknowledged, RunState
from foreshadow.domain.moves import Plan
from foreshadow.domain.protocols import Director, EvictingDirector, InstanceDriver
from foreshadow.domain.spec import Mode, ResourceSpec
from foreshadow.domain.units import format_duration
from foreshadow.ledger import Ledger
from foreshadow.switchover.caches import caching, inner_first, kept_for
from foreshadow.switchover.comparison import Counts
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.switchover.pace import Pace
from foreshadow.switchover.view import View, look, serves

ASK_AGAIN = 1.0
"""Seconds between two calls of a service's hook ``go_away`` while it does not become quiet."""

SILENT_SECONDS = 2.0
"""A service or an agent that has not answered for so long is taken for gone; a moment's silence
says nothing about the requests that are open there."""

_NEVER = WallTime(0.0)


class BlockedError(RefusedError):
    """Guards, or the world as it is, stand against the switchover; nothing was done.

    :ivar blocked: each reason, as a name and as a sentence.
    """

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(problem, where=where, remedy=remedy)
        self.blocked: tuple[Blocked, ...] = ()

    @classmethod
    def of(cls, resource: str, blocked: Sequence[Blocked]) -> BlockedError:
        """Return the error that tells all reasons in one line."""
        error = cls("; ".join(one.reason for one in blocked), where=f"resource {resource}")
        error.blocked = tuple(blocked)
        return error


class StateSync(Protocol):
    """Moves state between the hosts of one resource."""

    def standing(self, source: str, destination: str) -> Acknowledged | None:
        """Return what a destination acknowledged last, as far as anybody who answers knows."""
        ...

    def send(self, source: str, destination: str, token: int) -> Acknowledged:
        """Bring the destination up to date now, and return what it acknowledged.

        :raises SyncError: when the state could not be captured, sent or applied.
        """
        ...

    def hand_over(self, source: str, destination: str, token: int, within: float) -> Acknowledged:
        """Seal the source, then bring the destination to the last state that it has.

        What was acknowledged need not be on the destination's disk before its promotion is.

        :param within: seconds in which requests of the source must end before.
        :raises ServiceError: when they do not, or the source cannot be sealed.
        :raises SyncError: when the state could not be captured, sent or applied.
        """
        ...

    def schedule(self, source: str, destinations: Sequence[str], token: int) -> None:
        """Keep the destinations up to date in the background; without any, stop doing so."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """How a switchover reaches the world; each piece is bound to one resource where it can be.

    :ivar instances: gives the driver of a host.
    :ivar raise_fence: makes a host refuse older tokens: ``(host, token)``.
    """

    instances: Callable[[str], InstanceDriver]
    directors: tuple[Director, ...]
    sync: StateSync
    raise_fence: Callable[[str, int], None]


@dataclass(slots=True)
class Stage:
    """One switchover's surroundings.

    :ivar guards: what stands against it now, apart from what agents and directors say; asked
        again under the lease.
    :ivar thawed_at: when the destination was last thawed or started; known after ``activate``.
    :ivar counts: what the directors counted of both hosts from the preflight on.
    :ivar handed_over: the final delta of a handover, written down once requests go on.
    :ivar held_for: seconds for which requests were held, as measured beside the directors.
    :ivar silent_since: by host, the monotonic time from which on nobody there said what is open.
    :ivar put_right: what directors showed after the commit that was not so before.
    """

    spec: ResourceSpec
    plan: Plan
    ledger: Ledger
    keeper: LeaseKeeper
    pace: Pace
    ports: Ports
    guards: Callable[[], Sequence[Blocked]] = tuple
    thawed_at: WallTime = _NEVER
    handed_over: Acknowledged | None = None
    held_for: float | None = None
    counts: Counts = field(default_factory=Counts)
    silent_since: dict[str, float] = field(default_factory=dict)
    put_right: list[str] = field(default_factory=list)

    @property
    def resource(self) -> str:
        """Return the name of the resource."""
        return self.spec.name

    @property
    def source(self) -> str:
        """Return the host that traffic leaves."""
        return self.plan.seen.source

    @property
    def destination(self) -> str:
        """Return the host that traffic goes to."""
        return self.plan.seen.destination

    @property
    def token(self) -> int:
        """Return the fencing token that every action carries."""
        return self.keeper.token

    def at(self, host: str) -> InstanceDriver:
        """Return the driver of a host."""
        return self.ports.instances(host)

    def mode_of(self, host: str) -> Mode:
        """Return how the instance on a host waits when it is a shadow, as the ledger has it."""
        known = self.ledger.instances(resource=self.resource, host=host)
        return known[0].mode if known else self.spec.shadows.mode

    def others(self, primary: str) -> tuple[str, ...]:
        """Return the hosts that follow a primary: all with an instance but itself."""
        hosts = {instance.host for instance in self.ledger.instances(resource=self.resource)}
        return tuple(sorted((hosts | {self.source, self.destination}) - {primary}))

    def look(self) -> View:
        """Return what agents and directors say now."""
        return look(
            self.spec,
            self.source,
            self.destination,
            self.ports.instances,
            self.ports.directors,
            lambda: self.ports.sync.standing(self.source, self.destination),
            self.pace.clock.now(),
        )

    def direct(self, weights: Mapping[str, int], *, back: bool = False) -> None:
        """Send traffic by percentages on every director, one after the other.

        :param back: the way back: in reverse.
        """
        named = {host: share for host, share in weights.items() if share}
        inward = inner_first(self.ports.directors)
        for director in reversed(inward) if back else inward:
            director.apply(named, self.token)

    def admit(self, host: str) -> None:
        """Make a host ready on every director, the innermost first."""
        for director in inner_first(self.ports.directors):
            director.admit(host, self.thawed_at, self.token)

    def retire(self, host: str) -> None:
        """Take a host out of every director's checks, the outermost first."""
        for director in reversed(inner_first(self.ports.directors)):
            director.retire(host, self.token)

    def demote(self, host: str) -> None:
        """Take the role of the primary from the instance on a host, if there is one."""
        driver = self.at(host)
        if driver.get(self.resource) is not None:
            driver.demote(self.resource, self.token)

    def shows(self, weights: Mapping[str, int]) -> bool:
        """Return whether every director shows these percentages."""
        return all(director.converged(weights) for director in self.ports.directors)

    def empty(self, host: str, *, may_be_gone: bool) -> None:
        """Wait until a host that gets no new requests has none left.

        What would not end by itself is asked to, again and again: a request that was still on its
        way may have become a websocket after the time before. What hangs at a host that does not
        answer, and that a director sees down, is asked elsewhere; one that answers is left to
        work off what it has.

        :param may_be_gone: see :meth:`quiet`.
        :raises ServiceError: when it still has requests open after ``drain.timeout``.
        """
        seconds = self.spec.service.drain.timeout
        self._forgotten(host, seconds)
        monotonic = self.pace.clock.monotonic
        asked = -ASK_AGAIN

        def quiet() -> bool:
            nonlocal asked
            if monotonic() - asked >= ASK_AGAIN:
                self.let_go(host, may_be_gone=may_be_gone)
                asked = monotonic()
            if self.quiet(host, may_be_gone=may_be_gone):
                return True
            if may_be_gone and self._hangs(host):
                self._evict(host)
            return False

        if not self.pace.until(quiet, seconds):
            raise ServiceError(
                f"still has requests open after {format_duration(seconds)}",
                where=f"{self.resource} on {host}",
                remedy="it keeps running without new traffic; look at what does not end, or raise "
                "service.drain.timeout",
            )

    def _forgotten(self, host: str, seconds: float) -> None:
        """Wait until nobody can have a host's address from an answer of before.

        :param seconds: how long it may take after what is known to be kept has run out.
        """
        directors = caching(self.ports.directors)
        self.pace.sleep(max(0.0, kept_for(directors, host, self.pace.clock.now())))
        if not self.pace.until(lambda: all(d.drained(host) for d in directors), seconds):
            raise DirectorError(
                f"clients may still be sent to {host} after {format_duration(seconds)}",
                where=f"resource {self.resource}",
                remedy="look for a resolver that keeps answers for longer than their TTL",
            )

    def let_go(self, host: str, *, may_be_gone: bool) -> None:
        """Ask a service to let go of what would not end by itself, if it has a hook for that."""
        if not self.spec.service.hooks.go_away:
            return
        try:
            self.at(host).go_away(self.resource, self.token)
        except (ServiceError, UnreachableError):
            if not may_be_gone:
                raise

    def quiet(self, host: str, *, may_be_gone: bool) -> bool:
        """Return whether a host has no request left, as the directors and the service see it.

        The directors are asked first: what is on its way from them is not yet known to the
        service.

        :param may_be_gone: take a service that rests, or stays silent, for one that has nothing
            left; otherwise that is an error.
        """
        if not all(director.drained(host) for director in self.ports.directors):
            return False
        asked = self.pace.clock.monotonic()
        try:
            return self._open_at(host) == 0
        except (ServiceError, UnreachableError):
            if may_be_gone:
                return self._rests(host) or self._stays_silent(host, asked)
            raise

    def _hangs(self, host: str) -> bool:
        driver = self.at(host)
        if self.spec.service.drain.source == "sockets":  # the kernel counts those of frozen ones
            return not serves(driver, self.resource)
        try:
            driver.in_flight(self.resource)
        except (ServiceError, UnreachableError):
            return True
        return False

    def _evict(self, host: str) -> None:
        for director in self.ports.directors:
            if isinstance(director, EvictingDirector):
                director.evict(host, self.token)

    def require_idle(self, host: str) -> None:
        """Refuse to put a host to rest whose service has requests open, or does not say.

        It may have been taken for gone before, because its agent was, and be back.

        :raises ServiceError: when it has.
        :raises UnreachableError: when its agent does not answer.
        """
        if self._rests(host):
            return
        asked = self.pace.clock.monotonic()
        try:
            left = self._open_at(host)
        except ServiceError:
            left = int(not self._stays_silent(host, asked))
        if left:
            raise ServiceError(
                "still has requests open, or does not say whether it has",
                where=f"{self.resource} on {host}",
                remedy="it keeps running without new traffic; run recover when they are done",
            )

    def _rests(self, host: str) -> bool:
        try:
            instance = self.at(host).get(self.resource)
        except UnreachableError:
            return False
        return instance is None or instance.state is not RunState.RUNNING

    def _open_at(self, host: str) -> int:
        left = self.at(host).in_flight(self.resource)
        self.silent_since.pop(host, None)
        return left

    def _stays_silent(self, host: str, asked: float) -> bool:
        """Return whether a host has told nothing for long enough, up to now.

        :param asked: the monotonic time of the question that it did not answer; waiting for it is
            silence too.
        """
        limit = min(SILENT_SECONDS, self.spec.service.drain.timeout / 2)
        return self.pace.clock.monotonic() - self.silent_since.setdefault(host, asked) >= limit


def shares_in(weights: Mapping[str, int]) -> dict[str, int]:
    """Return the hosts that have a share, with it."""
    return {host: share for host, share in weights.items() if share}


def spelled(weights: Mapping[str, int]) -> str:
    """Return shares as a person reads them."""
    return ", ".join(f"{share} % on {host}" for host, share in weights.items()) or "nobody"
