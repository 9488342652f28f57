"""HAProxy as a director: one or more processes, each through the agent that stands beside it.

The order of every change is the one that loses no request: what is to get traffic gets it at every
endpoint and is read back there, before anything loses traffic at any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from foreshadow.directors.haproxy_changes import change, evicting, falling, rising, to_maint
from foreshadow.directors.haproxy_options import HaproxyEndpoint, parse_options
from foreshadow.directors.haproxy_view import NET, View, has_traffic, is_up
from foreshadow.directors.weights import checked_weights, shown
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    ForeshadowError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.protocols import Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration
from foreshadow.wire.access import Access
from foreshadow.wire.gen import agent_pb2 as pb

_POLL_SECONDS = 0.005
_CONNECTING_SECONDS = 1.2
"""Above the ``timeout connect`` of a second that the role writes."""
_A_MOMENT = 1.0

Result = TypeVar("Result")


class HaproxyDirector:
    """Sends a resource's traffic by the weights and states of its server lines.

    A host with traffic stands in ``ready`` with its percentage as weight, one that lost it in
    ``drain``, one that may be frozen in ``maint``. Where the backend has a ``backup`` line for a
    host (its name and ``-net``), that line is ready from the moment the host loses its traffic
    until it is retired: should every other server fail meanwhile, HAProxy goes back by itself.

    :param resource: whose traffic it is; fencing tokens count per resource.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self,
        spec: DirectorSpec,
        resource: str,
        access: Access,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec = spec
        self._resource = resource
        self._access = access
        self._options = parse_options(spec, resource)
        self._monotonic = monotonic
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(len(self._options.endpoints))
        self._token = 0
        self._held: dict[HaproxyEndpoint, View] = {}

    def read(self) -> tuple[Endpoint, ...]:
        """Return where traffic goes now, at every endpoint."""
        return tuple(view.endpoint() for view in self._everywhere(self._view))

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Bring a host into ``drain`` and wait until it has passed a check at every endpoint.

        The line always goes through ``maint``. From there on HAProxy shows no passed check until
        one has ended, so the one that is waited for began during this call: it is newer than
        ``since``, whatever the clocks of the hosts say. A host that has traffic is left alone.

        :param since: when the host was thawed; it has passed.
        :raises UnknownNameError: when an endpoint has no server line for the host.
        :raises DirectorError: when it passes no check in time, with what was last seen.
        """
        self._token = max(self._token, token)
        self._everywhere(lambda endpoint: self._admit_at(endpoint, host, token))

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Send traffic by percentages, at every endpoint; see the class for the order.

        :raises UnreachableError: when an endpoint did not answer before anything was changed.
        :raises DirectorError: when nothing was changed because a host is not admitted; or when an
            endpoint does not show the change, so that the state is unknown until it is read.
        """
        wanted = checked_weights(weights)
        self._token = max(self._token, token)
        before = self._everywhere(self._view)
        for view in before:
            self._refuse_unready(view, wanted)
        newcomers = {host for view in before for host in wanted if not view.told().get(host)}
        raises = [rising(view, wanted) for view in before]
        raised = self._change_everywhere(before, raises, token)
        for view in raised:
            self._refuse_idle(view, newcomers)
        falls = [falling(view, wanted) for view in raised]
        for view in self._change_everywhere(raised, falls, token):
            self._refuse_idle(view, newcomers)
            if view.told() != wanted:
                raise _otherwise(view, wanted, self._where(view.name))

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether every endpoint shows these weights."""
        wanted = checked_weights(weights)
        return all(endpoint.weights == wanted for endpoint in self.read())

    def drained(self, host: str) -> bool:
        """Return whether no endpoint has a request open or queued for the host.

        After a reload only the new process is asked: requests that an old one still has open are
        known to the service alone.
        """
        return all(endpoint.in_flight.get(host, 0) == 0 for endpoint in self.read())

    def retire(self, host: str, token: int) -> None:
        """Put a host without traffic into ``maint``, where it is not checked.

        :raises DirectorError: when it has traffic somewhere; nothing was changed then.
        """
        before = self._without_traffic(host, token)
        changes = [
            to_maint(view.net(host)) + to_maint(self._required_line(view, host)) for view in before
        ]
        self._change_everywhere(before, changes, token)

    def evict(self, host: str, token: int) -> None:
        """End what is open at a host without traffic, wherever its checks find it down.

        HAProxy takes the end for a server that went away: a request that may be asked twice, and
        of which no answer has begun, is asked again of a host that is up.

        :raises DirectorError: when it has traffic somewhere; nothing was changed then.
        """
        before = self._without_traffic(host, token)
        if not any(evicting(self._required_line(view, host)) for view in before):
            return
        # A request that is still connecting would be answered by nothing at all; it goes elsewhere
        # by itself once its ``timeout connect`` has run out.
        self._sleep(_CONNECTING_SECONDS)
        before = self._without_traffic(host, token)
        changes = [evicting(self._required_line(view, host)) for view in before]
        self._change_everywhere(before, changes, token)

    def fence(self, token: int) -> None:
        """Let the agent of every endpoint refuse older tokens, also while its HAProxy is away.

        :raises UnreachableError: when one does not answer; the others refuse them then.
        """
        self._token = max(self._token, token)
        self._everywhere(lambda endpoint: self._fence_at(endpoint, token))

    def persist(self) -> None:
        """Make every endpoint write its server states, so that a reload keeps them."""
        self._everywhere(self._persist_at)

    def hold(self, host: str, seconds: float, within: float, token: int) -> bool:
        """Hold new requests at every endpoint for at most so long; let those at a host end.

        :return: whether every endpoint holds, and none has a request at the host any more.
        """
        self._token = max(self._token, token)
        lines = [self._spec.target(host), self._spec.target(host) + NET]

        replies = self._at_once(
            lambda endpoint: self._hold_at(endpoint, seconds, token, lines, within)
        )
        for endpoint, reply in zip(self._options.endpoints, replies, strict=True):
            self._held[endpoint] = View(self._options.name(endpoint), self._spec, reply.shown)
        return all(reply.holding and reply.idle for reply in replies)

    def held(self) -> bool:
        """Return whether every endpoint holds new requests now."""
        return all(reply.holding for reply in self._everywhere(self._read_hold_at))

    def deliver(self, weights: Mapping[str, int], token: int) -> float | None:
        """At each endpoint send traffic by percentages, then let held requests go on.

        One call to each: what it has to change is known from its hold, and refused by another
        process than the one that held.

        :return: seconds for which the one that held longest did so, as its agent measured;
            ``None`` when one does not know.
        :raises DirectorError: when an endpoint does not show the weights; it still holds then.
        """
        wanted = checked_weights(weights)
        self._token = max(self._token, token)

        held = self._at_once(lambda endpoint: self._deliver_at(endpoint, wanted, token))
        return max(held) if all(held) else None

    def release(self, token: int) -> None:
        """Let held requests go on, at every endpoint."""
        self._token = max(self._token, token)
        self._at_once(lambda endpoint: self._hold_at(endpoint, 0.0, token))

    def _without_traffic(self, host: str, token: int) -> list[View]:
        """Return what every endpoint shows, none of which sends anything to the host."""
        self._token = max(self._token, token)
        views = self._everywhere(self._view)
        for view in views:
            if view.weights().get(host) or view.told().get(host):
                raise DirectorError(
                    f"{host} still has traffic",
                    where=self._where(view.name),
                    remedy="send its traffic elsewhere first",
                )
        return views

    def _hold_at(
        self,
        endpoint: HaproxyEndpoint,
        seconds: float,
        token: int,
        leaving: Sequence[str] = (),
        within: float = 0.0,
    ) -> Callable[[], pb.HaproxyHoldReply]:
        client = self._access.client(endpoint.agent)
        request = pb.HaproxyHoldRequest(
            fence=pb.Fence(resource=self._resource, token=token),
            socket=endpoint.socket,
            backend=self._options.backend,
            seconds=seconds,
            leaving=leaving,
            within=within,
        )
        # Past the end of the hold nobody needs the answer any more.
        patience = seconds + _A_MOMENT if leaving else None
        return client.begin(client.agent.HoldHaproxy, request, patience)

    def _deliver_at(
        self, endpoint: HaproxyEndpoint, wanted: Mapping[str, int], token: int
    ) -> Callable[[], float]:
        view = self._held.get(endpoint) or self._view(endpoint)
        self._refuse_unready(view, wanted)
        client = self._access.client(endpoint.agent)
        request = pb.HaproxyApplyRequest(
            fence=pb.Fence(resource=self._resource, token=token),
            socket=endpoint.socket,
            backend=self._options.backend,
            changes=[*rising(view, wanted), *falling(view, wanted)],
            release=True,
            pid=view.reply.pid,
        )
        reply = client.begin(client.agent.ApplyHaproxy, request)

        def finish() -> float:
            shown = View(view.name, self._spec, reply())
            if shown.told() != wanted:
                raise _otherwise(shown, wanted, self._where(view.name))
            return shown.reply.held

        return finish

    def _read_hold_at(self, endpoint: HaproxyEndpoint) -> pb.HaproxyHoldReply:
        client = self._access.client(endpoint.agent)
        query = pb.HaproxyQuery(socket=endpoint.socket, backend=self._options.backend)
        return client.call(client.agent.ReadHaproxyHold, query)

    def _admit_at(self, endpoint: HaproxyEndpoint, host: str, token: int) -> None:
        view = self._view(endpoint)
        if has_traffic(self._required_line(view, host)):
            return
        deadline = self._monotonic() + self._options.admit_timeout
        opened = view = self._open(endpoint, view, host, token)
        while not (line := self._required_line(view, host)).checked_at:
            if self._monotonic() > deadline:
                raise _unadmitted(line, self._options.admit_timeout, self._where(view.name))
            self._sleep(_POLL_SECONDS)
            view = self._view(endpoint)
            if view.reply.pid != opened.reply.pid:  # a reload may have brought an old state back
                opened = view = self._open(endpoint, view, host, token)
        if line.check_status != "L7OK":
            raise DirectorError(
                f"checks {host} only by {line.check_status}, which a frozen process passes too",
                where=self._where(view.name),
                remedy="check it on layer 7: option httpchk, or tcp-check expect",
            )

    def _open(self, endpoint: HaproxyEndpoint, view: View, host: str, token: int) -> View:
        """Take the host's line out of ``maint`` into ``drain``, by way of ``maint``."""
        line = self._required_line(view, host)
        return self._change(endpoint, [change(line, "maint"), change(line, "drain")], token)

    def _refuse_unready(self, view: View, wanted: Mapping[str, int]) -> None:
        """Refuse to send traffic to a host that is not admitted, or not well.

        One that has been sent traffic so far may keep its share although it is down: HAProxy
        knows how to spare it, and it is the kind of host that is being left.
        """
        for host in wanted:
            line = self._required_line(view, host)
            if line.admin_state == "maint" or not (is_up(line) or view.told().get(host)):
                raise DirectorError(
                    f"{host} cannot take traffic: it shows {line.status}",
                    where=self._where(view.name),
                    remedy="admit it first, when the service there is well",
                )

    def _refuse_idle(self, view: View, newcomers: set[str]) -> None:
        """Refuse to let anything lose traffic for a host that does not take it."""
        for host in newcomers:
            line = self._required_line(view, host)
            if not has_traffic(line):
                raise DirectorError(
                    f"{host} takes no traffic: it shows {line.status}",
                    where=self._where(view.name),
                    remedy="see whether the service there is well",
                )

    def _required_line(self, view: View, host: str) -> pb.HaproxyServer:
        line = view.line(host)
        if line is None:
            raise UnknownNameError(
                f"backend {self._options.backend} has no server {self._spec.target(host)} "
                f"for host {host}",
                where=self._where(view.name),
                remedy=f"add one, or set targets; it has: {', '.join(view.hosts()) or 'none'}",
            )
        return line

    def _view(self, endpoint: HaproxyEndpoint) -> View:
        client = self._access.client(endpoint.agent)
        query = pb.HaproxyQuery(socket=endpoint.socket, backend=self._options.backend)
        reply = client.call(client.agent.ReadHaproxy, query)
        return View(self._options.name(endpoint), self._spec, reply)

    def _change(
        self, endpoint: HaproxyEndpoint, changes: Sequence[pb.HaproxyChange], token: int
    ) -> View:
        client = self._access.client(endpoint.agent)
        request = pb.HaproxyApplyRequest(
            fence=pb.Fence(resource=self._resource, token=token),
            socket=endpoint.socket,
            backend=self._options.backend,
            changes=changes,
        )
        reply = client.call(client.agent.ApplyHaproxy, request)
        return View(self._options.name(endpoint), self._spec, reply)

    def _change_everywhere(
        self, views: Sequence[View], changes: Sequence[Sequence[pb.HaproxyChange]], token: int
    ) -> list[View]:
        """Change every endpoint, and return what each shows then.

        :raises DirectorError: when one does not answer: what was sent may be done all the same.
        """
        todo = dict(zip(self._options.endpoints, zip(views, changes, strict=True), strict=True))

        def one(endpoint: HaproxyEndpoint) -> View:
            view, asked = todo[endpoint]
            return self._change(endpoint, asked, token) if asked else view

        try:
            return self._everywhere(one)
        except UnreachableError as error:
            raise DirectorError(
                f"{error.problem} in the middle of a change: its state is unknown",
                where=error.where,
                remedy="read it again when it answers, and repeat or undo the change",
            ) from None

    def _fence_at(self, endpoint: HaproxyEndpoint, token: int) -> None:
        client = self._access.client(endpoint.agent)
        fence = pb.Fence(resource=self._resource, token=token)
        client.call(client.agent.RaiseFence, pb.FenceRequest(fence=fence))

    def _persist_at(self, endpoint: HaproxyEndpoint) -> None:
        client = self._access.client(endpoint.agent)
        fence = pb.Fence(resource=self._resource, token=self._token)
        request = pb.HaproxyPersistRequest(fence=fence, socket=endpoint.socket)
        client.call(client.agent.PersistHaproxy, request)

    def _everywhere(self, act: Callable[[HaproxyEndpoint], Result]) -> list[Result]:
        """Return what ``act`` gives at each endpoint, all at once; wait for all in any case.

        :raises ForeshadowError: of one endpoint that failed; being fenced off comes first.
        """
        return self._at_once(lambda endpoint: self._pool.submit(act, endpoint).result)

    def _at_once(self, begin: Callable[[HaproxyEndpoint], Callable[[], Result]]) -> list[Result]:
        """Begin something at each endpoint, then return what it gives; wait for all in any case.

        :raises ForeshadowError: of one endpoint that failed; being fenced off comes first.
        """
        results: list[Result] = []
        failures: list[tuple[HaproxyEndpoint, ForeshadowError]] = []
        begun: list[tuple[HaproxyEndpoint, Callable[[], Result]]] = []
        for endpoint in self._options.endpoints:
            with _noting(endpoint, failures):
                begun.append((endpoint, begin(endpoint)))
        for endpoint, finish in begun:
            with _noting(endpoint, failures):
                results.append(finish())
        if failures:
            fenced = (failure for failure in failures if isinstance(failure[1], FencedError))
            endpoint, error = next(fenced, failures[0])
            named = self._where(self._options.name(endpoint))
            raise type(error)(error.problem, where=named, remedy=error.remedy) from None
        return results

    def _where(self, name: str) -> str:
        return f"resource {self._resource}, HAProxy at {name}"


@contextmanager
def _noting(
    endpoint: HaproxyEndpoint, failures: list[tuple[HaproxyEndpoint, ForeshadowError]]
) -> Iterator[None]:
    try:
        yield
    except ForeshadowError as error:
        failures.append((endpoint, error))


def _otherwise(view: View, wanted: Mapping[str, int], where: str) -> DirectorError:
    return DirectorError(
        f"shows {shown(view.told())}, told {shown(wanted)}",
        where=where,
        remedy="look for somebody else who changes weights",
    )


def _unadmitted(line: pb.HaproxyServer, timeout: float, where: str) -> DirectorError:
    seen = f"{line.status}, {line.check_status or 'no check'}"
    return DirectorError(
        f"server {line.name} passed no check within {format_duration(timeout)} ({seen})",
        where=where,
        remedy="see that the service answers its health check, and that the server line has "
        "check with a fall of 2 or more",
    )
