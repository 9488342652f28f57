"""Ranking and assigning a fleet: how long it takes, and how good it is against simpler ways.

Two things are measured on random fleets of hosts and resources with three kinds of demand: the time
to rank and assign a large one, and the worth of the assignment of next homes on many small, crowded
ones, where the best one can be found by trying all. Its worth is the summed score of the next homes
that were given out; a resource without one counts as nothing. The peer takes turns by name: each
resource the best host that is left.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping

from foreshadow.domain.decision import Ranked
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.placement.assignment import assign
from foreshadow.placement.fleet import Fleet
from foreshadow.placement.homes import Room
from foreshadow.placement.ranking import rank
from foreshadow.placement.weights import resolve
from tests.bench.table import Row, report

SEED = 20240611
SMALL_FLEETS = 200

Rankings = Mapping[str, tuple[Ranked, ...]]


def fleet(seed: int, hosts: int, resources: int, crowding: float) -> Fleet:
    """Return a random fleet.

    :param crowding: summed demand over summed capacity.
    """
    draw = random.Random(seed)
    made = [_host(draw, i) for i in range(hosts)]
    specs = [_resource(draw, i, hosts) for i in range(resources)]
    share = crowding * hosts / resources
    peaks = {
        spec.name: {
            "cpu": share * 16 * draw.uniform(0.2, 1.8),
            "memory": share * 64e9 * draw.uniform(0.2, 1.8),
            "rate": share * 5000 * draw.uniform(0.2, 1.8),
        }
        for spec in specs
    }
    return Fleet(
        hosts=tuple(made),
        specs={spec.name: spec for spec in specs},
        primaries={spec.name: spec.primary for spec in specs},
        peaks=peaks,
    )


def _host(draw: random.Random, number: int) -> Host:
    size = draw.choice((0.5, 1.0, 2.0))
    capacity = {"cpu": 16 * size, "memory": int(64e9 * size), "rate": 5000 * size}
    return parse_host(
        {"name": f"h{number:04}", "address": "127.0.0.1", "zone": f"z{number % 3}",
         "capacity": capacity}
    )  # fmt: skip


def _resource(draw: random.Random, number: int, hosts: int) -> ResourceSpec:
    return parse_resource(
        {"name": f"r{number:04}", "primary": f"h{draw.randrange(hosts):04}",
         "service": {"command": ["serve"], "port": 8080},
         "shadows": {"count": 2, "spread": "zone"}}
    )  # fmt: skip


def rankings(world: Fleet) -> Rankings:
    """Return the ranking of every resource."""
    return {
        name: rank(world, spec, resolve(spec.placement.weights))
        for name, spec in world.specs.items()
    }


def by_regret(world: Fleet, ranked: Rankings) -> dict[str, str]:
    """Return the next homes as Foreshadow gives them out."""
    hosts = assign(world, ranked, {}).hosts
    return {name: chosen[0] for name, chosen in hosts.items() if chosen}


def in_order(world: Fleet, ranked: Rankings) -> dict[str, str]:
    """Return the next homes when each resource, by name, takes the best that is left."""
    room, taken = Room(world), dict[str, str]()
    for name, rows in sorted(ranked.items()):
        for row in rows:
            if row.rejected is None and room.overflow(name, row.host) is None:
                room.promise(name, row.host)
                taken[name] = row.host
                break
    return taken


def by_trying_all(world: Fleet, ranked: Rankings) -> dict[str, str]:
    """Return the next homes of the highest worth."""
    names = sorted(ranked)
    choices = [[None, *(r.host for r in ranked[name] if r.rejected is None)] for name in names]
    best: tuple[float, dict[str, str]] = (-1.0, {})
    for combination in itertools.product(*choices):
        homes = {n: h for n, h in zip(names, combination, strict=True) if h is not None}
        value = worth(ranked, homes)
        if value > best[0] and _fits(world, homes):
            best = (value, homes)
    return best[1]


def _fits(world: Fleet, homes: Mapping[str, str]) -> bool:
    room = Room(world)
    for name, host in homes.items():
        if room.overflow(name, host) is not None:
            return False
        room.promise(name, host)
    return True


def worth(ranked: Rankings, homes: Mapping[str, str]) -> float:
    """Return the summed scores of the next homes."""
    return sum(
        next(row.score for row in ranked[name] if row.host == host) for name, host in homes.items()
    )


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def quality() -> list[Row]:
    """Return how near the assignment comes to the best one, and what taking turns by name gives."""
    share = {by_regret: 0.0, in_order: 0.0}
    homeless = dict.fromkeys([*share, by_trying_all], 0)
    total = 0.0
    for seed in range(SMALL_FLEETS):
        world = fleet(SEED + seed, hosts=4, resources=5, crowding=0.45)
        ranked = rankings(world)
        best = by_trying_all(world, ranked)
        total += worth(ranked, best)
        homeless[by_trying_all] += len(ranked) - len(best)
        for way in share:
            homes = way(world, ranked)
            share[way] += worth(ranked, homes)
            homeless[way] += len(ranked) - len(homes)
    resources = 5 * SMALL_FLEETS
    return [
        Row("worth, of the best possible", share[by_regret] / total, "ratio", target=0.97,
            holds=share[by_regret] >= 0.97 * total, peer=share[in_order] / total),
        Row("without a next home", homeless[by_regret] / resources, "ratio",
            peer=homeless[in_order] / resources),
        Row("without a next home, best possible", homeless[by_trying_all] / resources, "ratio"),
    ]  # fmt: skip


def speed() -> list[Row]:
    """Return how long a large fleet takes."""
    world = fleet(SEED, hosts=100, resources=1000, crowding=0.4)
    found: dict[str, Rankings] = {}
    ranking = _seconds(lambda: found.update(all=rankings(world)))
    assigning = _seconds(lambda: assign(world, found["all"], {}))
    return [
        Row(
            "rank 1,000 resources on 100 hosts, processor time",
            ranking,
            "s",
            target=10.0,
            holds=ranking <= 10.0,
        ),
        Row(
            "assign their 2,000 shadows, processor time",
            assigning,
            "s",
            target=5.0,
            holds=assigning <= 5.0,
        ),
    ]


if __name__ == "__main__":
    report("placement", [*speed(), *quality()])
