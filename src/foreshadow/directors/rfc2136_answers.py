"""What every server of a record answers: asked all at once, told in hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import dns.name
import dns.rdata
import dns.rdataset

from foreshadow.directors.followers import Dates
from foreshadow.directors.rfc2136_options import Rfc2136Options, Server, read_target
from foreshadow.directors.rfc2136_wire import Asking
from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.protocols import Answer
from foreshadow.domain.spec import DirectorSpec

Rdataset = dns.rdataset.Rdataset

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Led:
    """Where one answer leads.

    :ivar foreign: record data that belongs to no host of ours.
    """

    hosts: tuple[str, ...]
    foreign: tuple[str, ...]
    ttl: float


class Targets:
    """Hosts by their record data, and back."""

    def __init__(self, spec: DirectorSpec, kind: str, where: str) -> None:
        self.data = {
            host: read_target(kind, target, where) for host, target in spec.targets.items()
        }
        self._hosts = {data: host for host, data in self.data.items()}

    def led(self, found: Rdataset | None) -> Led:
        """Return where a record set leads."""
        if found is None:
            return Led((), (), 0.0)
        hosts = sorted(self._hosts[data] for data in found if data in self._hosts)
        foreign = sorted(data.to_text() for data in found if data not in self._hosts)
        return Led(tuple(hosts), tuple(foreign), float(found.ttl))

    def foreign(self, found: Rdataset | None) -> frozenset[dns.rdata.Rdata]:
        """Return the record data that belongs to no host of ours."""
        return frozenset(data for data in found or () if data not in self._hosts)


class Answers:
    """Asks the servers of one record, and remembers since when each answers as it does."""

    def __init__(
        self,
        options: Rfc2136Options,
        name: dns.name.Name,
        targets: Targets,
        asking: Asking,
        now: WallClock,
    ) -> None:
        self._options = options
        self._name = name
        self._targets = targets
        self._asking = asking
        self._now = now
        self._dates = Dates(now)

    def required(self) -> list[Led]:
        """Return where every authoritative server leads, in their order.

        :raises UnreachableError: when one does not answer.
        """
        authorities = self._options.authorities
        found = _everywhere(self._led_by_authority, authorities)
        for one in found:
            if isinstance(one, ForeshadowError):
                raise one
        return [one for one in found if isinstance(one, Led)]

    def all(self) -> tuple[Answer, ...]:
        """Ask every authoritative server and every named resolver, once."""
        asked = [
            *((server, True) for server in self._options.authorities),
            *((server, False) for server in self._options.resolvers),
        ]

        def one(pair: tuple[Server, bool]) -> Led:
            server, authoritative = pair
            return (self._led_by_authority if authoritative else self._led_by_resolver)(server)

        found = _everywhere(one, asked)
        return tuple(
            self._answer(server, authoritative, led)
            for (server, authoritative), led in zip(asked, found, strict=True)
        )

    def _answer(self, server: Server, authoritative: bool, led: Led | ForeshadowError) -> Answer:
        if isinstance(led, ForeshadowError):
            return Answer(str(server), authoritative, (), 0.0, self._now(), led.problem)
        since = self._dates.note(str(server), led.hosts)
        return Answer(str(server), authoritative, led.hosts, led.ttl, since)

    def _led_by_authority(self, server: Server) -> Led:
        found = self._asking.authority(server, self._name, self._options.type)
        return self._dated(server, found)

    def _led_by_resolver(self, server: Server) -> Led:
        found = self._asking.resolver(server, self._name, self._options.type)
        return self._dated(server, found)

    def _dated(self, server: Server, found: Rdataset | None) -> Led:
        """Note the moment of an answer as it comes, not when the slowest one has come."""
        led = self._targets.led(found)
        self._dates.note(str(server), led.hosts)
        return led


def _everywhere(act: Callable[[T], Led], what: Sequence[T]) -> list[Led | ForeshadowError]:
    """Return what comes of each, all at once: where it leads, or the error."""

    def one(each: T) -> Led | ForeshadowError:
        try:
            return act(each)
        except ForeshadowError as error:
            return error

    with ThreadPoolExecutor(len(what)) as pool:
        return list(pool.map(one, what))
