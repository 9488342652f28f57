"""Cloudflare's DNS as a director: all of a resource's traffic goes where one name leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from foreshadow.directors.checks import failures
from foreshadow.directors.cloudflare.api import Api, Connection
from foreshadow.directors.cloudflare.claim import ANY, Claim, digest
from foreshadow.directors.cloudflare.complaints import Subject
from foreshadow.directors.cloudflare.options import (
    AUTOMATIC,
    AUTOMATIC_SECONDS,
    DnsOptions,
    parse_options,
    record_data,
    target,
)
from foreshadow.directors.cloudflare.records import Batch, Step, View, leading_to, with_ttl
from foreshadow.directors.cloudflare.resolvers import Resolvers
from foreshadow.directors.cloudflare.times import Times
from foreshadow.directors.cloudflare.zone import Zone
from foreshadow.directors.weights import checked_weights, shown
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError, ForeshadowError, SpecError
from foreshadow.domain.protocols import Answer, Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration
from foreshadow.wire.access import Access

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 5.0
_SLACK_SECONDS = 1.0
"""Caches count whole seconds."""


class CloudflareDnsDirector:
    """Leads one name to one host at a time, by its A, AAAA or CNAME records.

    Both addresses of a host that has two change in one transaction. Records that carry a comment
    or tags of somebody else are never touched; nothing else is changed beside them either.

    :param resource: whose traffic it is; fencing tokens count per resource and name.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self, spec: DirectorSpec, resource: str, access: Access, *, times: Times | None = None
    ) -> None:
        del access  # Cloudflare is called from here, and hosts are looked at as clients see them
        self._spec = spec
        self._times = times or Times()
        self._options = options = parse_options(DnsOptions, spec, resource)
        self._data = record_data(spec, resource)
        self._where = f"resource {resource}, Cloudflare {options.name}"
        subject = Subject(
            where=self._where,
            thing=f"zone {options.zone_id}",
            permission="Zone > DNS > Edit",
            token=options.token_place(),
        )
        api = Api(Connection(options, self._times), subject)
        self._resolvers = Resolvers(
            options.resolvers, options.name, self._data, self._times.now, self._where
        )
        self._zone = Zone(options, resource, self._data, api, self._times)

    @property
    def name(self) -> str:
        """Return what the director answers about, for a person."""
        return f"cloudflare_dns {self._options.name}"

    def shares(self) -> bool:
        """Return that only all of the traffic moves."""
        return False

    def read(self) -> tuple[Endpoint, ...]:
        """Return where the name leads, and which hosts that may be led to are well."""
        self._resolvers.note()
        view = self._zone.view()
        weights = view.weights()
        ready = {host for host in self._data if view.claim.ready_for(host)} | set(weights)
        failed = self._failures(ready)
        endpoint = Endpoint(
            name=f"Cloudflare {self._options.name}",
            weights=weights,
            checked=dict.fromkeys(sorted(ready - set(failed)), self._times.now()),
            in_flight={},
            drift=view.drift(proxied=self._options.proxied),
        )
        return (endpoint,)

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Let a host be led to, once it has passed a check that began during this call.

        A host that is led to is left alone.

        :raises UnknownNameError: when it has no target.
        :raises DirectorError: when it passes no check in time, with what was last seen.
        """
        target(self._spec, host, self._where)
        before = self._zone.view()
        before.refuse_older(token)
        if before.weights().get(host):
            return
        self._await_check(host)

        def intent(view: View) -> Step | None:
            view.refuse_older(token)
            claim = view.claim
            if claim.ready_for(host) and claim.token == token:
                return None
            return Step(replace(claim.admitting(host), token=token))

        self._zone.change(intent)

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Lead the name to one host.

        :raises SpecError: when the traffic is to be shared, which DNS of one record cannot.
        :raises DirectorError: when the host is not admitted, or the change is in doubt.
        :raises RefusedError: when somebody else's record stands beside ours.
        """
        host = self._only_host(weights)
        options = self._options

        def intent(view: View) -> Step | None:
            view.refuse_older(token)
            view.refuse_foreign()
            claim = view.claim
            if not (claim.ready_for(host) or view.weights().get(host)):
                raise DirectorError(
                    f"{host} cannot take traffic: it is not admitted",
                    where=self._where,
                    remedy="admit it first, when the service there is well",
                )
            ttl = int(options.ttl if claim.ttl is None else claim.ttl)
            batch = leading_to(view, self._data[host], ttl, options.proxied, token)
            return self._moving(view, host, batch, token) if batch else None

        after = self._zone.change(intent)
        if after.weights() != {host: 100}:
            raise DirectorError(
                f"leads to {shown(after.weights())}, told {host} 100%",
                where=self._where,
                remedy="look for somebody else who changes its records",
            )
        self._resolvers.await_change(host)

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether the name leads so; clients may still keep what they were told before."""
        return self._zone.view().weights() == checked_weights(weights)

    def drained(self, host: str) -> bool:
        """Return whether nobody who honours TTLs can hold the host's address any more.

        No resolver that is named may answer with it then; one that does not answer is not waited
        for. The requests themselves are known to the service alone.
        """
        view = self._zone.seen()
        if view.weights().get(host) or self._times.now() < view.claim.kept_until(host):
            return False
        return all(host not in answer.hosts for answer in self._resolvers.answers())

    def retire(self, host: str, token: int) -> None:
        """Let a host no longer be led to.

        :raises DirectorError: when it is led to; nothing was changed then.
        """
        target(self._spec, host, self._where)

        def intent(view: View) -> Step | None:
            view.refuse_older(token)
            if view.weights().get(host):
                raise DirectorError(
                    f"{host} still has traffic",
                    where=self._where,
                    remedy="send its traffic elsewhere first",
                )
            claim = view.claim
            if not claim.ready_for(host):
                return None
            return Step(replace(claim.retiring(host), token=token))

        self._zone.change(intent)

    def persist(self) -> None:
        """Do nothing: Cloudflare keeps what it was told."""

    def answers(self) -> tuple[Answer, ...]:
        """Return what Cloudflare answers, as its API tells, and what every named resolver does.

        The API is asked every few seconds only: between two changes of ours there is nothing new,
        and each call counts for the limit.
        """
        return (self._own_answer(), *self._resolvers.answers())

    def cached_until(self, host: str) -> WallTime:
        """Return until when a host's address may be kept after it left the answers."""
        view = self._zone.seen()
        if view.weights().get(host):
            return WallTime(self._times.now() + self._lasts(view.ttl()))
        return view.claim.kept_until(host)

    def ttl(self) -> float:
        """Return for how many seconds answers may be kept; 0 for a proxied record."""
        return self._zone.view().ttl()

    def set_ttl(self, seconds: float, token: int) -> None:
        """Give the records this TTL, in seconds, and nothing else.

        :raises DirectorError: when they are proxied, or when no plan allows such a TTL.
        """
        if self._options.proxied:
            raise DirectorError(
                "a proxied record has no TTL of its own",
                where=self._where,
                remedy="leave it; clients keep nothing of ours",
            )
        own = self._options.ttl
        automatic = seconds == AUTOMATIC or (own == AUTOMATIC and seconds == AUTOMATIC_SECONDS)
        ttl = AUTOMATIC if automatic else int(seconds)

        def intent(view: View) -> Step | None:
            view.refuse_older(token)
            view.refuse_foreign()
            batch = with_ttl(view, ttl, token)
            if not batch:
                return None
            claim = replace(view.claim, token=token, ttl=None if ttl == own else float(ttl))
            return Step(claim, batch, {ANY: self._lasts(view.ttl())})

        try:
            self._zone.change(intent)
        except SpecError as error:  # nobody wrote this TTL as the record's
            raise DirectorError(error.problem, where=error.where, remedy=error.remedy) from None

    def armed_ttl(self) -> float | None:
        """Return the TTL, in seconds, for when a move is ahead; ``None``: leave it as it is."""
        return None if self._options.proxied else self._options.armed_ttl

    def _own_answer(self) -> Answer:
        server = f"Cloudflare {self._options.name}"
        try:
            view = self._zone.view(_ANSWER_SECONDS)
        except ForeshadowError as error:
            return Answer(server, True, (), 0.0, self._times.now(), error.problem)
        hosts = tuple(sorted(view.weights()))
        changed = max((record.modified for record in view.leading), default=self._times.now())
        return Answer(server, True, hosts, view.ttl(), view.claim.since or changed)

    def _only_host(self, weights: Mapping[str, int]) -> str:
        wanted = checked_weights(weights)
        for host in wanted:
            target(self._spec, host, self._where)
        if len(wanted) != 1:
            raise SpecError(
                f"one name cannot share traffic as {shown(wanted)}",
                where=self._where,
                remedy="move all of it at once: set policy.steps to [100], or use cloudflare_lb",
            )
        return next(iter(wanted))

    def _moving(self, view: View, host: str, batch: Batch, token: int) -> Step:
        """Return the change that leads to a host, and notes who left and may be kept for how long.

        An answer from before the TTL was lowered lasts as long as that one did.
        """
        now, before = self._times.now(), view.claim
        left = [name for name in view.weights() if name != host]
        kept = {
            key: until for key, until in before.kept.items() if until > now and key != digest(host)
        }
        lasts = max(self._lasts(view.ttl()), before.kept.get(ANY, now) - now)
        claim = Claim(
            token=token,
            since=before.since,
            ttl=before.ttl,
            ready=before.ready | {digest(name) for name in (host, *left)},
            kept=kept,
        )
        moved = view.weights() != {host: 100}
        return Step(claim, batch, {digest(name): lasts for name in left}, moved)

    def _lasts(self, ttl: float) -> float:
        """Return the seconds from a change until no answer of before it is left."""
        return ttl + self._options.propagation + _SLACK_SECONDS

    def _await_check(self, host: str) -> None:
        deadline = self._times.monotonic() + self._options.admit_timeout
        while failed := self._failures({host}):
            if self._times.monotonic() > deadline:
                raise DirectorError(
                    f"{host} passed no check within "
                    f"{format_duration(self._options.admit_timeout)} ({failed[host]})",
                    where=self._where,
                    remedy="see that the service there answers its check",
                )
            self._times.sleep(_POLL_SECONDS)

    def _failures(self, hosts: set[str]) -> dict[str, str]:
        """Return by host why it does not pass its check: at each of its addresses."""
        addresses = {
            f"{host} {kind}": content
            for host in sorted(hosts)
            for kind, content in self._data[host].items()
        }
        found = failures(addresses, self._options.check, self._options.name)
        return {key.partition(" ")[0]: why for key, why in found.items()}
