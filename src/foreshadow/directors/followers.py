"""Who has followed a change of a name, and when: servers and resolvers see it one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.protocols import Answer


class Dates:
    """Since when each server has answered as it does now.

    A moment is noted as an answer comes: told when all have answered, it would be as late as the
    slowest of them.
    """

    def __init__(self, now: WallClock) -> None:
        self._now = now
        self._since: dict[str, tuple[tuple[str, ...], WallTime]] = {}

    def note(self, server: str, hosts: tuple[str, ...]) -> WallTime:
        """Note where a server leads now, and return the moment at which it was first seen to."""
        known = self._since.get(server)
        if known is None or known[0] != hosts:
            known = self._since[server] = (hosts, self._now())
        return known[1]


class Followers:
    """Looks after a change until everybody who answers has followed it.

    Whoever moves traffic may wait for something else meanwhile: asked after that only, they would
    seem to have followed later than they did.

    :param ask: gives every answer of now, and dates it.
    """

    def __init__(self, ask: Callable[[], Iterable[Answer]]) -> None:
        self._ask = ask
        self._awaited = ""

    def expect(self, host: str) -> None:
        """Look with each :meth:`note` from now on, until all lead to a host."""
        self._awaited = host

    def note(self) -> None:
        """Look, when somebody is still to follow; who does not answer is not waited for."""
        if not self._awaited:
            return
        if all(answer.hosts == (self._awaited,) or answer.problem for answer in self._ask()):
            self._awaited = ""
