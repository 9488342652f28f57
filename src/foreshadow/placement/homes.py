"""Giving out next homes to resources that compete for capacity, by regret.

A next home has room for the resource beside its own primaries and beside every other resource whose
next home it is. In each turn the resource that would lose most by not getting its best host gets it
(Martello and Toth's heuristic for the generalized assignment problem, 1981); one with a single
host left comes first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping

from foreshadow.placement.constraints import overflow
from foreshadow.placement.fleet import Fleet
from foreshadow.placement.ranking import PLACES


class Room:
    """What is promised on each host."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._promised: dict[str, dict[str, float]] = {}
        self._guests: dict[str, list[str]] = {}

    def overflow(self, resource: str, host: str) -> tuple[str, float, float] | None:
        """Return what would not fit, were the resource promised this host too.

        :returns: the kind, what would be used, and the limit.
        """
        promised = self._promised.get(host)
        if promised is None:
            return None  # alone it fits: the ranking's capacity rule has said so
        load = dict(self._fleet.load(host, without=resource))
        for kind, value in promised.items():
            load[kind] = load.get(kind, 0.0) + value
        return overflow(self._fleet.limits(host), load, self._fleet.peak(resource))

    def promise(self, resource: str, host: str) -> None:
        """Keep room on a host for a resource."""
        promised = self._promised.setdefault(host, {})
        for kind, value in self._fleet.peak(resource).items():
            promised[kind] = promised.get(kind, 0.0) + value
        self._guests.setdefault(host, []).append(resource)

    def guests(self, host: str) -> tuple[str, ...]:
        """Return the resources that were promised a host, by name."""
        return tuple(sorted(self._guests.get(host, ())))


class Auction:
    """One giving out of next homes.

    Promises only grow, so a host that no longer fits a resource is off its list for good, and a
    resource is looked at again only when one of its first two hosts was given away.

    :param wanted: by resource, the scores of the hosts that can carry it, the best first.
    """

    def __init__(self, fleet: Fleet, wanted: Mapping[str, Mapping[str, float]]) -> None:
        self.room = Room(fleet)
        self._scores = wanted
        self._left = {name: list(hosts) for name, hosts in wanted.items()}
        self._watching: dict[str, set[str]] = {}
        self._turns = dict.fromkeys(wanted, 0)
        self._heap: list[tuple[float, str, int]] = []

    def run(self) -> dict[str, str]:
        """Return the next home of each resource that gets one."""
        for name in self._left:
            self._look(name)
        taken: dict[str, str] = {}
        while self._heap:
            _, name, turn = heapq.heappop(self._heap)
            if name in taken or turn != self._turns[name]:
                continue
            host = taken[name] = self._left[name][0]
            self.room.promise(name, host)
            for other in sorted(self._watching.pop(host) - taken.keys()):
                self._look(other)
        return taken

    def _look(self, name: str) -> None:
        """Find the first two hosts that still fit, and queue the resource by its regret."""
        left, fitting = self._left[name], list[str]()
        while left and len(fitting) < 2:
            host = left.pop(0)
            if self.room.overflow(name, host) is None:
                fitting.append(host)
        left[:0] = fitting
        self._turns[name] += 1
        for host in fitting:
            self._watching.setdefault(host, set()).add(name)
        if fitting:
            scores = [self._scores[name][host] for host in fitting]
            regret = round(scores[0] - scores[1], PLACES) if len(scores) > 1 else math.inf
            heapq.heappush(self._heap, (-regret, name, self._turns[name]))
