"""The three terms of the affinity score, each in 0..1, larger is better.

========================  =======================================================================
``availability``          forecast headroom: ``1 - max over kinds of (load + own peak) / capacity``
``network_proximity``     ``S / (S + rtt)``: what a client that waits for each answer gets through,
                          against a host without distance
``load_similarity``       ``0.7 * shape + 0.3 * history``: whether the host has free what the
                          resource needs, in the proportions in which it needs it, and how well the
                          resource ran there before
========================  =======================================================================

*Availability* is the headroom that would be left at the peak, on the scarcest kind: it is that kind
that degrades the service.

*Network proximity*: a client with one request outstanding completes ``1 / (S + rtt)`` per second
when serving takes ``S``. Divided by its rate at no distance that is ``S / (S + rtt)``; so 0.8 means
that distance alone makes latency a quarter longer. Being absolute, it is comparable between fleets
and does not jump when two hosts are both close: a tenth of a millisecond of noise moves it by less
than 0.05. ``S`` is 2 ms, an ordinary request to a cache or an API.

*Shape* is the cosine between the demand vector and the vector of what the host has free, each kind
divided by the largest capacity in the fleet. Packing by alignment leaves less stranded than packing
by size alone (Panigrahy et al., "Heuristics for Vector Bin Packing", 2011; Grandl et al.,
"Multi-resource Packing for Cluster Schedulers" (Tetris), SIGCOMM 2014). What the host already
carries is subtracted first: a resource that is hungry for processor time is unlike a host whose
processor is what others use.

*History* is ``(1 + pair) / 2``, where ``pair`` in -1..1 is what
:mod:`foreshadow.learning` made of earlier stays; 0.5 before the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

SERVICE_SECONDS = 0.002
"""The serving time ``S`` that round trips are held against."""

ASSUMED_SAME_ZONE = 0.0005
"""The round trip in seconds that is assumed inside one zone until it has been measured."""

ASSUMED_OTHER_ZONE = 0.003
"""The round trip in seconds that is assumed between zones, or when a zone is not known."""

SHAPE_SHARE = 0.7
UNKNOWN_SHAPE = 0.5


def availability(
    capacity: Mapping[str, float], load: Mapping[str, float], own: Mapping[str, float]
) -> float:
    """Return the share of the scarcest kind that is left at the peak.

    :param capacity: what the host limits; without limits nothing is scarce.
    :param load: summed peaks of the other primaries on the host.
    :param own: the peak of the resource that would move there.
    """
    used = ((load.get(kind, 0.0) + own.get(kind, 0.0)) / limit for kind, limit in capacity.items())
    return _clip(1.0 - max(used, default=0.0))


def network_proximity(round_trips: Sequence[float]) -> float:
    """Return how little distance slows a client down.

    :param round_trips: seconds from each place that talks to the host; the mean of them counts.
    """
    mean = math.fsum(round_trips) / len(round_trips)
    return SERVICE_SECONDS / (SERVICE_SECONDS + mean)


def assumed_round_trip(zone: str, other: str) -> float:
    """Return the round trip in seconds to assume between two zones; an empty name is unknown."""
    return ASSUMED_SAME_ZONE if zone and zone == other else ASSUMED_OTHER_ZONE


def load_similarity(
    own: Mapping[str, float],
    capacity: Mapping[str, float],
    load: Mapping[str, float],
    largest: Mapping[str, float],
    pair: float,
) -> float:
    """Return how well a host suits a resource by what it has free and by what happened there.

    :param largest: the fleet's largest capacity of each kind; a kind that the host does not limit
        counts as that much free.
    :param pair: how well the resource ran there before, in -1..1.
    """
    kinds = [kind for kind, amount in own.items() if amount > 0 and kind in largest]
    shape = UNKNOWN_SHAPE
    if kinds:
        need = [own[kind] / largest[kind] for kind in kinds]
        free = [
            max(0.0, capacity.get(kind, largest[kind]) - load.get(kind, 0.0)) / largest[kind]
            for kind in kinds
        ]
        shape = _cosine(need, free)
    return _clip(SHAPE_SHARE * shape + (1.0 - SHAPE_SHARE) * (1.0 + pair) / 2.0)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    size = math.hypot(*a) * math.hypot(*b)
    return 0.0 if size == 0 else _clip(math.fsum(x * y for x, y in zip(a, b, strict=True)) / size)


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
