"""The joints of the house: what a driver must offer.

Drivers are found through entry points (``foreshadow.instances``, ``foreshadow.directors``,
``foreshadow.metrics``, ``foreshadow.capture``). Each protocol has a conformance suite under
:mod:`foreshadow.testing` that every driver passes, ours or a third party's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import Instance
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import Mode, ResourceSpec, ServiceSpec


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe of an instance found.

    :ivar detail: one line: the answer, or why there is none.
    """

    healthy: bool
    detail: str
    checked_at: WallTime


class InstanceDriver(Protocol):
    """Creates, activates, freezes, deactivates and removes instances on one host.

    Every call that acts carries a fencing token, and is refused with
    :class:`~foreshadow.domain.errors.FencedError` when a newer one has been seen for the resource.
    Every call is idempotent.
    """

    def get(self, resource: str) -> Instance | None:
        """Return the instance of a resource as it is now, or ``None``."""
        ...

    def create(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Make a shadow and bring it to rest in ``mode``: started and checked unless cold."""
        ...

    def adopt(self, spec: ResourceSpec, token: int) -> Instance:
        """Take the running primary into care without a restart; start it when none runs."""
        ...

    def activate(self, spec: ResourceSpec, token: int) -> WallTime:
        """Thaw or start a shadow, reload its state, probe it; return when it was thawed."""
        ...

    def freeze(self, spec: ResourceSpec, mode: Mode, token: int) -> Instance:
        """Bring an activated shadow, or a demoted primary, to rest in ``mode``."""
        ...

    def prepare(self, resource: str, token: int) -> None:
        """Make ready what a promotion needs, as far as that is possible ahead of it."""
        ...

    def promote(self, resource: str, token: int, within: float | None = None) -> Instance:
        """Give a shadow its writable state and the role of the primary.

        What it returns has passed its health check with that state.

        :param within: seconds after which nobody waits for it any more; ``None``: as it takes.
        :raises UnreachableError: when it did not answer by then: it may be promoted or not.
        """
        ...

    def demote(self, resource: str, token: int) -> Instance:
        """Take the role of the primary away; its state becomes the base of the next version."""
        ...

    def seal(self, resource: str, token: int, within: float = 0.0) -> None:
        """Let the primary write nothing more, by the service's hook ``fence``; its role stays.

        :param within: seconds in which the requests that it has must end first; 0 does not ask.
        :raises ServiceError: when they do not, or the hook fails.
        """
        ...

    def unseal(self, resource: str, token: int) -> None:
        """Let the primary write again, by the service's hook ``promote``."""
        ...

    def go_away(self, resource: str, token: int) -> None:
        """Let go of connections that would not end by themselves, by the hook ``go_away``."""
        ...

    def deactivate(self, resource: str, token: int) -> None:
        """Stop the process, gently and then not."""
        ...

    def remove(self, resource: str, token: int) -> None:
        """Stop a shadow and forget it and its state; a primary is let go, and runs on."""
        ...

    def health(self, resource: str, successes: int = 1) -> Health:
        """Probe the instance directly, ``successes`` times in a row."""
        ...

    def in_flight(self, resource: str) -> int:
        """Return the requests in flight, as the spec's ``drain`` counts them."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What one server of a director has counted of a host, since it began to count.

    :ivar epoch: of the counting: another one began at zero, as after a reload.
    :ivar requests: that the host was given, and that have ended.
    :ivar failed: those among them that the host answered with an error of its own, or not at all;
        also where the director had another host answer then.
    :ivar answered: those that the host answered.
    :ivar latency: seconds to the first byte, the moving mean of the last ``window`` answers.
    :ivar slowest: seconds that no answer has taken longer than.
    :ivar precision: seconds by which ``latency`` may be rounded down.
    """

    epoch: int
    requests: int
    failed: int
    answered: int
    latency: float
    slowest: float = 0.0
    window: int = 1024
    precision: float = 0.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a director's traffic goes, at one of its servers, as percentages by host.

    :ivar name: the server of the director (a HAProxy, an authoritative DNS server, an API).
    :ivar checked: by host, the wall time of the last passed check; absent when none passed.
    :ivar in_flight: by host, requests that this server has open.
    :ivar served: by host, what this server has counted; empty where it does not count.
    """

    name: str
    weights: Mapping[str, int]
    checked: Mapping[str, WallTime]
    in_flight: Mapping[str, int]
    drift: str = ""
    served: Mapping[str, Served] = field(default_factory=dict)


class Director(Protocol):
    """Sends a resource's traffic to its instances."""

    def read(self) -> tuple[Endpoint, ...]:
        """Return where traffic goes now, at every server of the director.

        :raises UnreachableError: when one does not answer: its state is unknown.
        """
        ...

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Make a host ready to receive traffic, without any yet.

        Returns when every server has seen it pass a check newer than ``since``.
        """
        ...

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Send traffic by percentages (sum 100), new targets before old ones leave.

        Returns when every server shows the weights. Hosts that are not named get none.
        """
        ...

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether every server shows these weights."""
        ...

    def drained(self, host: str) -> bool:
        """Return whether no server has a request open at the host."""
        ...

    def retire(self, host: str, token: int) -> None:
        """Take a host without traffic out of the checks, so that it may be frozen."""
        ...

    def persist(self) -> None:
        """Make what is now survive a reload of the director's servers."""
        ...


@runtime_checkable
class RelayedDirector(Director, Protocol):
    """A director whose commands go through agents, which remember the newest fencing token."""

    def fence(self, token: int) -> None:
        """Let every agent on the way refuse older tokens, also where there is nothing to change.

        :raises UnreachableError: when one does not answer; the others refuse them then.
        """
        ...


@runtime_checkable
class HoldingDirector(Director, Protocol):
    """A director that can hold new requests for a moment, without failing any.

    A hold ends by itself: the director's servers keep its expiry, so that a controller that died
    leaves nothing held.
    """

    def hold(self, host: str, seconds: float, within: float, token: int) -> bool:
        """Hold new requests at every server for at most so long; let those at a host end.

        :param within: seconds that they may take.
        :return: whether every server holds, and none has a request at the host any more.
        :raises DirectorError: when a server does not hold, or cannot.
        """
        ...

    def held(self) -> bool:
        """Return whether every server holds new requests now.

        :raises DirectorError: when a server is not configured to.
        """
        ...

    def deliver(self, weights: Mapping[str, int], token: int) -> float | None:
        """At each server send traffic by percentages, then let held requests go on.

        Servers do not wait for each other: meant for after a commit, when nobody but the hosts
        that are named may get a request.

        :return: seconds for which the one that held longest did so, as measured beside it;
            ``None`` when one does not know.
        :raises DirectorError: when a server does not show the weights; it still holds then.
        """
        ...

    def release(self, token: int) -> None:
        """Let held requests go on, at every server; without a hold it does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server, or one resolver that clients use, answers about a director's name now.

    :ivar server: its name, for a person and for the record of a switchover.
    :ivar authoritative: true for a server of the director itself, false for a resolver.
    :ivar hosts: the hosts that the answer leads to; empty when it leads to none of ours.
    :ivar ttl: seconds for which whoever asked may keep it.
    :ivar since: the wall time at which it was first seen to lead to just these hosts.
    :ivar problem: one line: why there is no answer; empty when there is one.
    """

    server: str
    authoritative: bool
    hosts: tuple[str, ...]
    ttl: float
    since: WallTime
    problem: str = ""


@runtime_checkable
class CachingDirector(Director, Protocol):
    """A director whose answers others keep for a while, as DNS is: a change is slow to be seen.

    Its ``drained`` is false also while somebody who honours TTLs, or a resolver that the user
    names, may still hold the host's address. That outlives the process: another one is told the
    same about a change that this one made.
    """

    @property
    def name(self) -> str:
        """Return what the director answers about, for a person: kind and name of the record."""
        ...

    def shares(self) -> bool:
        """Return whether it can split traffic by percentages; if not, only all of it moves."""
        ...

    def answers(self) -> tuple[Answer, ...]:
        """Ask every authoritative server, and every resolver that the user names, once and now.

        One that does not answer is among them, with its ``problem``. Nothing is raised for it.
        """
        ...

    def cached_until(self, host: str) -> WallTime:
        """Return until when a host's address may be kept after it left the answers.

        In the past when nobody can have it any more; for a host that is in the answers, or left
        them at a server that is not known to have followed, the earliest that is possible.
        """
        ...

    def ttl(self) -> float:
        """Return the largest TTL of the record at any of its servers, in seconds.

        :raises UnreachableError: when one does not answer.
        """
        ...

    def set_ttl(self, seconds: float, token: int) -> None:
        """Give the record this TTL and nothing else; return when every server shows it.

        :raises DirectorError: when the backend does not allow it, or the record is not ours.
        """
        ...

    def armed_ttl(self) -> float | None:
        """Return the TTL, in seconds, for when a move is ahead; ``None``: leave it as it is."""
        ...


@runtime_checkable
class EvictingDirector(Director, Protocol):
    """A director that can ask elsewhere what a host that fell silent has been asked."""

    def evict(self, host: str, token: int) -> None:
        """End what is open at a host without traffic, wherever a server sees it down.

        What may be asked twice is asked elsewhere, instead of waiting for a host that hangs.

        :raises DirectorError: when the host has traffic.
        """
        ...


class MetricSource(Protocol):
    """Answers one query for many resources at once."""

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        """Return a series on the window's grid for each resource that has one.

        Values are as the source has them, in the unit that the spec declares. A resource without
        any sample is absent; gaps are ``nan``.

        :raises MetricsError: when the source does not answer or cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a capture works.

    :ivar state: the real directory behind ``{state}``.
    :ivar values: what ``{address}``, ``{port}``, ``{host}`` and ``{state}`` stand for here.
    :ivar shared_machine: other agents run on this machine, so absolute paths are refused.
    :ivar scratch: a private folder for files that a capture makes itself. What it leaves there is
        there in the next round, until the agent starts anew or the spec changes.
    :ivar thorough: nothing may be missing from what is found now: what a capture believes to be
        unchanged, it looks at all the same.
    :ivar popen: returns the arguments of ``subprocess.Popen`` with which the service's hooks run:
        their environment, folder and user. Raises ``SpecError`` when the agent may not become it.
    """

    state: Path
    values: Mapping[str, str]
    service: ServiceSpec
    shared_machine: bool
    scratch: Path
    thorough: bool = False
    popen: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, slots=True)
class Found:
    """One path of a version, and where it lies on disk: a file, a directory or a link.

    :ivar path: in the version: relative, ``/``-separated, normalised.
    :ivar source: the absolute path; text, because there are thousands of them in each round.
    """

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a capture found.

    :ivar claims: paths of the version that are this capture's own: what others find there, as a
        ``files`` of the folder around it, is not taken.
    :ivar profile: rows of the workload profile; ``None`` when this capture does not tell it.
    :ivar notes: what was left out, and why: one sentence each.
    :ivar unchanged: all that was found is as this capture found it the last time, paths and
        contents alike, so nobody needs to look at it.
    """

    found: tuple[Found, ...] = ()
    claims: frozenset[str] = frozenset()
    profile: tuple[dict[str, Any], ...] | None = None
    notes: tuple[str, ...] = ()
    unchanged: bool = False


class Capture(Protocol):
    """Turns one kind of state into files of a version.

    Built with the options of its entry in the spec's ``state``; an option that it does not know is
    a :class:`~foreshadow.domain.errors.SpecError`.
    """

    def capture(self, scene: Scene) -> Findings:
        """Find what belongs to the version now. Blocks; hashing is done by who calls.

        :raises SyncError: when the state cannot be captured as a whole.
        """
        ...
