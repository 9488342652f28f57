"""The ranking of the hosts for one resource: affinity scores, rejected hosts last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from foreshadow.domain.decision import Ranked
from foreshadow.domain.spec import ResourceSpec
from foreshadow.placement import terms
from foreshadow.placement.constraints import Pair, rejection
from foreshadow.placement.fleet import Fleet
from foreshadow.placement.weights import TERMS

PLACES = 9
"""Decimal places to which scores are compared: equal ones are ordered by the host's name."""


def rank(fleet: Fleet, spec: ResourceSpec, weights: Mapping[str, float]) -> tuple[Ranked, ...]:
    """Return every host, the best first, those that are ruled out last.

    :param weights: of the terms; they sum to 1 (see :mod:`foreshadow.placement.weights`).
    """
    seen_from = fleet.observers(spec.name)
    rows = [_row(Pair(fleet, spec, host), seen_from, weights) for host in fleet.hosts]
    return tuple(sorted(rows, key=order))


def order(row: Ranked) -> tuple[bool, float, str]:
    """Return the sort key of a row: usable before rejected, high scores first, then by name."""
    return (row.rejected is not None, -round(row.score, PLACES), row.host)


def _row(pair: Pair, seen_from: Sequence[str], weights: Mapping[str, float]) -> Ranked:
    fleet, name, host = pair.fleet, pair.spec.name, pair.host.name
    own, load, limits = fleet.peak(name), fleet.load(host, without=name), fleet.limits(host)
    history = fleet.pair_terms.get(name, {}).get(host, 0.0)
    values = {
        "load_similarity": terms.load_similarity(own, limits, load, fleet.largest, history),
        "network_proximity": terms.network_proximity(_round_trips(pair, seen_from)),
        "availability": terms.availability(limits, load, own),
    }
    score = math.fsum(weights[term] * values[term] for term in TERMS)
    return Ranked(host, score, values, rejection(pair))


def _round_trips(pair: Pair, seen_from: Sequence[str]) -> list[float]:
    """Return seconds from each observer to the host: measured, else assumed from the zones."""
    found = []
    for observer in seen_from:
        measured = pair.fleet.round_trips.get((observer, pair.host.name))
        if observer == pair.host.name:
            found.append(0.0)
        elif measured is not None:
            found.append(measured)
        else:
            known = pair.fleet.host(observer)
            found.append(terms.assumed_round_trip(known.zone if known else "", pair.host.zone))
    return found
