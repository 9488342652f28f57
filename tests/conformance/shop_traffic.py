"""A third party's director and its world, as small as they can be: two servers in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.domain.protocols import Endpoint

HOSTS = ("edge-a", "edge-b")


class Servers:
    """What the shop's load balancers know."""

    def __init__(self) -> None:
        self.rest()

    def rest(self) -> None:
        self.weights = {"edge-a": 100}
        self.checked = {"edge-a": WallTime(time.time())}
        self.open = dict.fromkeys(HOSTS, 0)
        self.well = dict.fromkeys(HOSTS, True)
        self.silent = False
        self.token = 0


class ShopDirector:
    """Sends traffic through the shop's load balancers."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def read(self) -> tuple[Endpoint, ...]:
        now = self._answering()
        return tuple(
            Endpoint(name, dict(now.weights), dict(now.checked), dict(now.open))
            for name in ("shop-1", "shop-2")
        )

    def admit(self, host: str, since: WallTime, token: int) -> None:
        now = self._fenced((host,), token)
        if now.weights.get(host):
            return
        if not now.well[host]:
            raise DirectorError("passes no check", where=host)
        now.checked[host] = WallTime(time.time())

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        if sum(weights.values()) != 100 or min(weights.values()) < 0:
            raise SpecError("no percentages", where="weights")
        now = self._fenced(tuple(weights), token)
        if missing := [host for host in weights if host not in now.checked]:
            raise DirectorError("is not admitted", where=missing[0])
        now.weights = {host: weight for host, weight in weights.items() if weight}

    def converged(self, weights: Mapping[str, int]) -> bool:
        wanted = {host: weight for host, weight in weights.items() if weight}
        return self._answering().weights == wanted

    def drained(self, host: str) -> bool:
        return self._answering().open[host] == 0

    def retire(self, host: str, token: int) -> None:
        now = self._fenced((host,), token)
        if now.weights.get(host):
            raise DirectorError("still has traffic", where=host)
        now.checked.pop(host, None)

    def persist(self) -> None:
        self._answering()

    def _answering(self) -> Servers:
        if self._servers.silent:
            raise UnreachableError("does not answer", where="shop-2")
        return self._servers

    def _fenced(self, hosts: tuple[str, ...], token: int) -> Servers:
        now = self._answering()
        if unknown := set(hosts) - set(HOSTS):
            raise UnknownNameError(f"there is no server {min(unknown)}", where="shop")
        if token < now.token:
            raise FencedError(f"token {token} is older than {now.token}", where="shop")
        now.token = token
        return now


class CarelessDirector(ShopDirector):
    """Takes the word of whoever comes last."""

    def _fenced(self, hosts: tuple[str, ...], token: int) -> Servers:
        self._servers.token = 0
        return super()._fenced(hosts, token)


class World:
    """The shop."""

    def __init__(self, kind: type[ShopDirector]) -> None:
        self.servers = Servers()
        self.kind = kind

    def director(self) -> ShopDirector:
        return self.kind(self.servers)

    hasty_director = director

    def rest(self) -> None:
        self.servers.rest()

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        self.servers.well[host] = False
        yield
        self.servers.well[host] = True

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.servers.silent = True
        yield
        self.servers.silent = False

    @contextmanager
    def request_open(self, host: str) -> Iterator[None]:
        self.servers.open[host] += 1
        yield
        self.servers.open[host] -= 1

    def served_by(self) -> set[str]:
        return set(self.servers.weights)


@contextmanager
def world() -> Iterator[World]:
    yield World(ShopDirector)


@contextmanager
def careless() -> Iterator[World]:
    yield World(CarelessDirector)


class SimpleDirector(ShopDirector):
    """Sends all of the traffic to one host, and knows of no requests."""

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        if len([weight for weight in weights.values() if weight]) > 1:
            raise SpecError("traffic cannot be shared", where="weights")
        super().apply(weights, token)

    def drained(self, host: str) -> bool:
        return not self._answering().weights.get(host)


class SimpleWorld(World):
    """Says what its director cannot do."""

    shares = False
    counts_requests = False


@contextmanager
def simple() -> Iterator[World]:
    yield SimpleWorld(SimpleDirector)


@contextmanager
def boasting() -> Iterator[World]:
    yield World(SimpleDirector)


NO_WORLD = "shop"
