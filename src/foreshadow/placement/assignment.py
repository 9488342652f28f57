"""Which hosts should hold the shadows of several resources that compete for capacity.

The first shadow of a resource is its *next home*, given out by :mod:`foreshadow.placement.homes` so
that no two resources count on the same room. Further shadows are second choices: each must fit
alone, and they may share.

A shadow that is already there is worth ``STAY`` more: moving it costs a full sync, and a score that
moved a little is no reason for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foreshadow.domain.decision import Ranked, Rejection
from foreshadow.placement.constraints import amount
from foreshadow.placement.fleet import Fleet
from foreshadow.placement.homes import Auction, Room
from foreshadow.placement.ranking import PLACES

STAY = 0.05
"""How much more a host scores for holding a shadow of the resource already."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The hosts that should hold shadows, the next home first, and what is missing.

    :ivar hosts: by resource, at most as many as its spec asks for.
    :ivar short: a sentence for each resource that gets fewer than it asks for.
    :ivar passed_over: by resource and host, why a host that could carry it was not taken although
        it ranks above one that was.
    """

    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, dict[str, Rejection]] = field(default_factory=dict)


def assign(
    fleet: Fleet,
    rankings: Mapping[str, Sequence[Ranked]],
    holding: Mapping[str, frozenset[str]],
) -> Assignment:
    """Return where the shadows of the ranked resources should stand.

    :param rankings: by resource, as :func:`~foreshadow.placement.ranking.rank` gives them.
    :param holding: by resource, the hosts that hold a shadow of it now.
    """
    wanted = {
        name: _usable(rows, holding.get(name, frozenset()))
        for name, rows in sorted(rankings.items())
        if fleet.specs[name].shadows.count > 0
    }
    auction = Auction(fleet, wanted)
    homes = auction.run()
    result = Assignment(hosts=dict.fromkeys(rankings, ()))
    for name, scores in wanted.items():
        count = fleet.specs[name].shadows.count
        hosts, passed = _complete(fleet, name, tuple(scores), homes.get(name))
        passed |= _crowded(name, scores, hosts, auction.room)
        result.hosts[name] = hosts
        result.passed_over[name] = passed
        if len(hosts) < count:
            because = "; ".join(row.reason for row in passed.values())
            result.short[name] = (
                f"{name} gets {len(hosts)} of {count} shadows: "
                f"{because or 'no other host can carry it'}"
            )
    return result


def _usable(rows: Sequence[Ranked], holding: frozenset[str]) -> dict[str, float]:
    """Return the hosts that are not rejected and their score with ``STAY``, the best first."""
    scores = {
        row.host: row.score + (STAY if row.host in holding else 0.0)
        for row in rows
        if row.rejected is None
    }
    return dict(sorted(scores.items(), key=lambda item: (-round(item[1], PLACES), item[0])))


def _complete(
    fleet: Fleet, name: str, hosts: Sequence[str], home: str | None
) -> tuple[tuple[str, ...], dict[str, Rejection]]:
    """Return the shadows' hosts beginning with the next home, and what ``spread`` passed over."""
    if home is None:
        return (), {}
    shadows = fleet.specs[name].shadows
    chosen, passed = [home], dict[str, Rejection]()
    for host in hosts:
        if len(chosen) == shadows.count:
            break
        neighbour = _in_zone_of(fleet, host, chosen) if shadows.spread == "zone" else None
        if host in chosen:
            continue
        if neighbour is None:
            chosen.append(host)
        else:
            passed[host] = Rejection(
                "spread", f"{host} is in one zone with {neighbour}, and spread: zone is asked for"
            )
    return tuple(chosen), passed


def _in_zone_of(fleet: Fleet, host: str, chosen: Sequence[str]) -> str | None:
    """Return the chosen host that stands in the zone of this one; an empty zone is not known."""
    zones = {other: found.zone for other in chosen if (found := fleet.host(other)) and found.zone}
    found = fleet.host(host)
    zone = found.zone if found else ""
    return next((other for other in chosen if zones.get(other, "") == zone != ""), None)


def _crowded(
    name: str, scores: Mapping[str, float], chosen: Sequence[str], room: Room
) -> dict[str, Rejection]:
    """Return the hosts above the next home whose room is promised to others."""
    found: dict[str, Rejection] = {}
    for host in scores:
        if host in chosen[:1]:
            break
        over = room.overflow(name, host)
        if over is not None and host not in chosen:
            kind, used, limit = over
            found[host] = Rejection(
                "capacity",
                f"{host} is the next home of {', '.join(room.guests(host))}; with {name} it would "
                f"peak at {amount(kind, used)}, and has {amount(kind, limit)}",
            )
    return found
