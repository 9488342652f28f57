"""Pointing the directors of a resource at hosts by weight, by hand and outside a switchover."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.clock import isoformat
from foreshadow.domain.errors import ForeshadowError, LeaseHeldError, RefusedError, SpecError
from foreshadow.domain.fleet import RunState
from foreshadow.domain.near import unknown
from foreshadow.domain.protocols import Director
from foreshadow.domain.spec import ResourceSpec
from foreshadow.ledger.holder import is_dead, this_process
from foreshadow.operations.context import Context
from foreshadow.operations.unfinished import refuse_unfinished
from foreshadow.switchover.caches import caching, inner_first

Weights = dict[str, int]

_LEASE_SECONDS = 120.0
_POLL_SECONDS = 0.1


def point_traffic(
    context: Context, resource: str, weights: Mapping[str, Any], wait: float = 10.0
) -> Change:
    """Send the traffic of a resource to its instances by percentages, on every director.

    A host that had no traffic is admitted first: it has to pass a check at every server of the
    directors. One that loses its traffic stays out of the load balancing, ready to come back.

    :param wait: seconds to wait until every server shows the weights.
    :return: ``before`` and ``after``, percentages by host for each server; ``converged``.
    :raises SpecError: when the weights are no percentages, or name what is not there.
    :raises RefusedError: while the resource is being moved, or when an instance does not run.
    """
    spec = context.ledger.resource(resource)
    if not (math.isfinite(wait) and wait >= 0):
        raise SpecError(
            f"{wait:g} seconds cannot be waited",
            where=f"resource {resource}, wait",
            remedy="give 0 or more",
        )
    for host in weights:
        context.ledger.host(str(host))
    wanted = _percentages(weights, f"resource {resource}, weights")
    _refuse_unusable(context, spec, wanted)
    _refuse_moving(context, resource)
    directors = inner_first(context.directors(spec))
    _refuse_split(directors, wanted, resource)
    before = _shown(directors)
    after = dict.fromkeys(before, wanted)

    def perform() -> dict[str, Any]:
        lease = context.ledger.acquire(resource, this_process(), _LEASE_SECONDS + wait)
        try:
            refuse_unfinished(context, resource)
            _admit(context, directors, wanted, lease.token)
            for director in directors:
                director.apply(wanted, lease.token)
            converged = _converge(directors, wanted, wait)
            for director in directors:
                director.persist()
        finally:
            context.ledger.release(lease)
        return {"before": before, "after": _shown(directors), "converged": converged}

    preview = {"before": before, "after": after, "converged": before == after}
    return Change({"weights": before}, {"weights": after}, preview, perform)


def _percentages(weights: Mapping[str, Any], where: str) -> Weights:
    """Return the hosts that are to get traffic; templates may have made text of the numbers."""
    remedy = "give whole percentages by host that sum to 100"
    try:
        read = {host: int(str(weight)) for host, weight in weights.items()}
    except ValueError:
        raise SpecError(
            f"{dict(weights)} are not whole numbers", where=where, remedy=remedy
        ) from None
    if sum(read.values()) != 100 or min(read.values()) < 0:
        told = "one is negative" if min(read.values(), default=0) < 0 else "not to 100"
        raise SpecError(f"they sum to {sum(read.values())}, {told}", where=where, remedy=remedy)
    return {host: weight for host, weight in read.items() if weight > 0}


def _refuse_unusable(context: Context, spec: ResourceSpec, wanted: Weights) -> None:
    where = f"resource {spec.name}"
    if not spec.directors:
        raise SpecError("has no director", where=where, remedy="add one to its spec")
    states = {i.host: i.state for i in context.ledger.instances(resource=spec.name)}
    states.setdefault(context.ledger.primary(spec.name), RunState.RUNNING)
    for host in wanted:
        if host not in states:
            raise unknown("instance on host", host, states, where=where)
        if states[host] is not RunState.RUNNING:
            raise RefusedError(
                f"the instance on {host} is {states[host].value}, and would answer nobody",
                where=where,
                remedy="make it hot with shadow_instance, or move the resource with switchover",
            )


def _refuse_split(directors: Sequence[Director], wanted: Weights, resource: str) -> None:
    """Refuse percentages that a director cannot give, before another one is changed."""
    for director in caching(directors):
        if len(wanted) > 1 and not director.shares():
            raise SpecError(
                f"{director.name} leads to one host, and cannot share traffic by percentages",
                where=f"resource {resource}, weights",
                remedy="give one host 100",
            )


def _refuse_moving(context: Context, resource: str) -> None:
    refuse_unfinished(context, resource)
    lease = context.ledger.lease(resource)
    if lease is not None and lease.expires_at > context.now() and not is_dead(lease.holder):
        raise LeaseHeldError(
            f"is being moved by {lease.holder} until {isoformat(lease.expires_at)}",
            where=f"resource {resource}",
            remedy="wait for it, or let its lease expire",
        )


def _admit(context: Context, directors: Sequence[Director], wanted: Weights, token: int) -> None:
    """Admit every host that has to get traffic, before anything else is changed."""
    thawed = context.now()
    admitted: list[tuple[Director, str]] = []
    try:
        for director in directors:
            endpoints = director.read()
            for host in wanted:
                if not all(endpoint.weights.get(host) for endpoint in endpoints):
                    admitted.append((director, host))
                    director.admit(host, thawed, token)
    except ForeshadowError:
        for director, host in admitted:
            with suppress(ForeshadowError):  # the first error is the one to tell
                director.retire(host, token)
        raise


def _converge(directors: Sequence[Director], wanted: Weights, wait: float) -> bool:
    deadline = time.monotonic() + wait
    while not (converged := all(director.converged(wanted) for director in directors)):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return converged


def _shown(directors: Sequence[Director]) -> dict[str, Weights]:
    """Return the percentages at each server, by its name and, where that is not all, a number."""
    endpoints = [endpoint for director in directors for endpoint in director.read()]
    total = Counter(endpoint.name for endpoint in endpoints)
    seen: Counter[str] = Counter()
    shown: dict[str, Weights] = {}
    for endpoint in endpoints:
        seen[endpoint.name] += 1
        number = f" #{seen[endpoint.name]}" if total[endpoint.name] > 1 else ""
        shown[endpoint.name + number] = dict(endpoint.weights)
    return shown
