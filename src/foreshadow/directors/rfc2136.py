"""Standard DNS as a director: one record that leads to one host, changed by signed updates.

Any server that takes updates by RFC 2136 will do: BIND, Knot, PowerDNS, Windows. DNS looks after
nothing and forgets slowly, so this director checks hosts itself, and knows until when an answer of
before may still be kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import dns.rdata

from foreshadow.directors.checks import failure, failures
from foreshadow.directors.followers import Followers
from foreshadow.directors.rfc2136_answers import Answers, Led, Targets
from foreshadow.directors.rfc2136_claim import ANY, Claim, Kept, runs_out
from foreshadow.directors.rfc2136_options import parse_options
from foreshadow.directors.rfc2136_record import Record, Seen, Wanted
from foreshadow.directors.rfc2136_wire import Asking
from foreshadow.directors.weights import checked_weights, percentages, shown
from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import (
    DirectorError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.protocols import Answer, Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time

_POLL_SECONDS = 0.1
_FIRST_TTL = 60
"""Seconds, for a record that was not there before."""
_NEVER = WallTime(0.0)


class Rfc2136Director:
    """Points a record at one host at a time.

    A claim beside the record (:mod:`.rfc2136_claim`) says whose it is, with which fencing token
    it was changed, and how long answers of before may be kept. Data in the record that belongs to
    no host of ours, and other records of the name, are left as they are.

    :param resource: whose traffic it is; fencing tokens count per resource.
    :param actor: what this process is called in the claim; default: its machine and process id.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self,
        spec: DirectorSpec,
        resource: str,
        access: Access | None = None,
        *,
        actor: str | None = None,
        now: WallClock = system_time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options = parse_options(spec, resource)
        self._resource = resource
        self._where = f"resource {resource}, {self.name}"
        self._targets = Targets(spec, options.type, self._where)
        asking = Asking(options.timeout, self._where)
        self._record = Record(options, resource, asking, actor, monotonic=monotonic, sleep=sleep)
        self._answers = Answers(options, self._record.name, self._targets, asking, now)
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._followed_at: dict[tuple[str, int], WallTime] = {}
        self._late: dict[str, WallTime] = {}
        self._followers = Followers(self.answers)

    @property
    def name(self) -> str:
        """Return the kind, the name and the type of the record."""
        return f"rfc2136 {self._options.name.rstrip('.')} {self._options.type}"

    def shares(self) -> bool:
        """Return that it cannot split traffic: one record, one host."""
        return False

    def read(self) -> tuple[Endpoint, ...]:
        """Return where every authoritative server leads, and which hosts pass their check now.

        After a change the resolvers are asked too, until they have followed: whoever looks here
        may wait for something else meanwhile, and they would be seen too late.
        """
        self._followers.note()
        seen, led = self._record.look(), self._answers.required()
        known = {*(() if seen.claim is None else seen.claim.ready), *led[0].hosts}
        data = {h: self._text(h) for h in sorted(known) if h in self._targets.data}
        unwell = failures(data, self._options.check, self._options.name.rstrip("."))
        checked = {host: self._now() for host in data if host not in unwell}
        drift = self._drift(seen, led[0])
        return tuple(
            Endpoint(
                name=str(server),
                weights=percentages(dict.fromkeys(one.hosts, 1)),
                checked=checked,
                in_flight={},
                drift=drift if i == 0 else _foreign(one),
            )
            for i, (server, one) in enumerate(zip(self._options.authorities, led, strict=True))
        )

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Check a host until it passes, then note in the claim that it may be led to.

        The check is made during this call, so it is newer than ``since``.

        :raises UnknownNameError: when there is no target for the host.
        :raises DirectorError: when it passes no check in time, with what was last seen.
        """
        address = self._text(host)
        self._record.new_claim(self._record.look(), token)
        deadline = self._monotonic() + self._options.admit_timeout
        while said := self._failure(address):
            if self._monotonic() > deadline:
                within = format_duration(self._options.admit_timeout)
                raise DirectorError(
                    f"{host} passed no check within {within} ({said})",
                    where=self._where,
                    remedy="see that the service answers there, from where the controller is",
                )
            self._sleep(_POLL_SECONDS)
        self._record.change(token, lambda _, claim: Wanted(claim.admitting(host)))

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Lead to the one host that gets all traffic; return when every server does.

        :raises SpecError: when more than one host is to get traffic.
        :raises UnreachableError: when a server did not answer before anything was changed.
        :raises DirectorError: when the host is not admitted, or not well; when somebody else was
            faster; or when a server does not follow in time.
        """
        host = self._only(weights)
        ttl = max(one.ttl for one in self._answers.required())
        now, data = self._now(), self._targets.data[host]

        def wanted(seen: Seen, claim: Claim) -> Wanted:
            led = self._targets.led(seen.record)
            if host not in led.hosts:
                self._refuse_unready(host, claim)
            left = dict.fromkeys((h for h in led.hosts if h != host), ttl)
            if led.hosts == (host,) and claim.at == host:
                return Wanted(claim)
            after = claim.leading_to(host, left, now)
            lasting = _FIRST_TTL if seen.record is None else seen.record.ttl
            return Wanted(after, (self._targets.foreign(seen.record) | {data}, lasting))

        self._record.change(token, wanted)
        self._followers.expect(host)
        self._wait(lambda led: led.hosts == (host,), f"lead to {host}")
        self._confirm(token)

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether every authoritative server leads so."""
        wanted = checked_weights(weights)
        return all(
            percentages(dict.fromkeys(led.hosts, 1)) == wanted for led in self._answers.required()
        )

    def drained(self, host: str) -> bool:
        """Return whether nobody can have the host's address from an answer any more.

        Requests that are open there are known to the service alone.
        """
        if self.cached_until(host) > self._now():
            return False
        answers = self.answers()
        overstayed = self._late.get(host, _NEVER) > self._now()
        return not overstayed and all(host not in answer.hosts for answer in answers)

    def retire(self, host: str, token: int) -> None:
        """Note in the claim that a host may no longer be led to.

        :raises DirectorError: when a server leads to it; nothing was changed then.
        """
        if any(host in led.hosts for led in self._answers.required()):
            raise DirectorError(
                f"{host} still has traffic",
                where=self._where,
                remedy="send its traffic elsewhere first",
            )
        self._record.change(token, lambda _, claim: Wanted(claim.retiring(host)))

    def persist(self) -> None:
        """Do nothing: an update that was answered is durable."""

    def answers(self) -> tuple[Answer, ...]:
        """Ask every authoritative server and every named resolver, once."""
        answers = self._answers.all()
        for answer in answers:
            if not answer.authoritative:
                until = WallTime(self._now() + answer.ttl)
                for host in answer.hosts:
                    self._late[host] = max(until, self._late.get(host, _NEVER))
        return answers

    def cached_until(self, host: str) -> WallTime:
        """Return until when the host's address may be kept; see the protocol."""
        seen, led = self._record.look(), self._answers.required()
        kept = {} if seen.claim is None else seen.claim.kept
        now, floor = self._now(), self._options.resolver_floor
        general = kept.get(ANY, Kept(0.0, _NEVER))
        if any(host in one.hosts for one in led):
            return runs_out(max(general.ttl, *(one.ttl for one in led)), now, floor)
        if host not in kept or seen.claim is None:
            return _NEVER
        times = []
        for entry in (kept[host], general):
            if entry.until is None and all(one.hosts == led[0].hosts for one in led):
                change = seen.claim.by, seen.claim.serial
                followed = self._followed_at.setdefault(change, now)
                times.append(runs_out(entry.ttl, followed, floor))
            else:
                times.append(
                    runs_out(entry.ttl, now, floor) if entry.until is None else entry.until
                )
        return max(times)

    def ttl(self) -> float:
        """Return the largest TTL of the record at any authoritative server."""
        return max(led.ttl for led in self._answers.required())

    def armed_ttl(self) -> float | None:
        """Return the TTL for when a move is ahead, as the options have it."""
        return self._options.armed_ttl

    def set_ttl(self, seconds: float, token: int) -> None:
        """Give the record another TTL; return when every server shows it.

        :raises SpecError: when it is no TTL.
        :raises DirectorError: when the record is not there, or holds data of somebody else.
        """
        if seconds != int(seconds) or not 0 <= seconds < 2**31:
            raise SpecError(f"{seconds:g} s is no TTL", where=self._where, remedy="whole seconds")
        before, now = self.ttl(), self._now()

        def wanted(seen: Seen, claim: Claim) -> Wanted:
            if seen.record is None or self._targets.foreign(seen.record):
                raise DirectorError(
                    "the record is not there, or not ours alone: its TTL is left as it is",
                    where=self._where,
                    remedy="look at who else changes it",
                )
            lowered = claim.lowering(before, now) if seconds < before else claim
            return Wanted(lowered, (frozenset(seen.record), int(seconds)))

        self._record.change(token, wanted)
        self._wait(lambda led: led.ttl == seconds, f"show a TTL of {seconds:g} s")
        self._confirm(token)

    def _confirm(self, token: int) -> None:
        """Note since when every server follows; who comes later need not wait from anew then."""
        now, floor = self._now(), self._options.resolver_floor
        try:
            self._record.change(token, lambda _, claim: Wanted(claim.followed(now, floor)))
        except UnreachableError:
            return  # it is only less known then, and waited for longer

    def _wait(self, holds: Callable[[Led], bool], told: str) -> None:
        """Wait until it holds at every authoritative server, with an eye on the resolvers."""
        deadline = self._monotonic() + self._options.propagation
        while True:
            self.answers()
            try:
                led = self._answers.required()
            except UnreachableError as error:
                late = [error.where.rpartition(" ")[2]]
            else:
                late = [
                    str(server)
                    for server, one in zip(self._options.authorities, led, strict=True)
                    if not holds(one)
                ]
            if not late:
                return
            if self._monotonic() > deadline:
                within = format_duration(self._options.propagation)
                raise DirectorError(
                    f"server {', '.join(late)} did not {told} within {within}",
                    where=self._where,
                    remedy="see that it follows the zone: notify, or a shorter refresh",
                )
            self._sleep(_POLL_SECONDS)

    def _only(self, weights: Mapping[str, int]) -> str:
        wanted = checked_weights(weights)
        for host in wanted:
            self._text(host)
        if len(wanted) > 1:
            raise SpecError(
                f"a single record cannot share traffic: {shown(wanted)}",
                where=self._where,
                remedy="give one host 100 %",
            )
        return next(iter(wanted))

    def _refuse_unready(self, host: str, claim: Claim) -> None:
        said = "it is not admitted" if host not in claim.ready else self._failure(self._text(host))
        if said:
            raise DirectorError(
                f"{host} cannot take traffic: {said}",
                where=self._where,
                remedy="admit it first, when the service there is well",
            )

    def _drift(self, seen: Seen, led: Led) -> str:
        """Return what somebody else did to the record, in words."""
        claim = seen.claim
        if claim is not None and claim.owner != self._resource:
            return f"the record belongs to resource {claim.owner}: {claim.by} claimed it"
        if claim is not None and claim.at and led.hosts != (claim.at,):
            leads = ", ".join((*led.hosts, *led.foreign)) or "nothing"
            return f"leads to {leads}, and was made to lead to {claim.at}: changed by hand"
        return _foreign(led)

    def _failure(self, address: str) -> str:
        return failure(address, self._options.check, self._options.name.rstrip("."))

    def _text(self, host: str) -> str:
        """Return the address, or name, that a host has in the record.

        :raises UnknownNameError: when it has none.
        """
        data: dns.rdata.Rdata | None = self._targets.data.get(host)
        if data is None:
            raise UnknownNameError(
                f"there is no target for host {host}",
                where=self._where,
                remedy=f"add one to targets; it has: {', '.join(sorted(self._targets.data))}",
            )
        return data.to_text().rstrip(".")


def _foreign(led: Led) -> str:
    return f"{', '.join(led.foreign)} in the record is no host of ours" if led.foreign else ""
