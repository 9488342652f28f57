"""Hosts as machines: what their agents recorded of them lately, against what they have."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import ForeshadowError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.domain.series import HOST
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.policy.failure_domains import Machine
from foreshadow.wire.gen.agent_pb2 import SamplesRequest

LATELY = 60.0
"""Wall seconds over which a machine's load is averaged: a moment of it says nothing."""

_AT_ONCE = 8
_PATIENCE = 2.0
_KINDS = ("cpu", "memory")


def machines(
    context: Context, spec: ResourceSpec, hosts: Sequence[str], limit: float | None
) -> dict[str, Machine]:
    """Return hosts as machines, by name.

    A kind of load counts where the host declares its capacity. What an agent did not record, or
    cannot say, is no trouble; an agent that does not answer is told as such.

    :param limit: share of its capacity above which a machine is in trouble; ``None``: at all of it.
    """
    known = [context.ledger.host(name) for name in dict.fromkeys(hosts)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda host: _machine(context, spec, host, limit or 1.0), known)
        return {machine.name: machine for machine in found}


def failure_domain(spec: ResourceSpec, host: Host) -> str:
    """Return what a host fails together with, as the resource counts it; empty: not known."""
    named = spec.placement.failure_domain
    if named is None:
        return ""
    return host.zone if named == "zone" else host.labels.get(named, "")


def _machine(context: Context, spec: ResourceSpec, host: Host, limit: float) -> Machine:
    domain, limits = failure_domain(spec, host), host.capacity.limits()
    now = context.now()
    try:
        loads = {k: _load(context, host.name, k, now) for k in _KINDS if k in limits}
        if not loads and domain:
            _load(context, host.name, _KINDS[0], now)  # whether it answers at all
    except UnreachableError:
        return Machine(host.name, domain, silent=True)
    except ForeshadowError:
        return Machine(host.name, domain)  # who may not ask, or asks too old an agent, knows less
    shares = {k: load / limits[k] for k, load in loads.items() if load is not None}
    over = [f"{kind} at {share:.2f}" for kind, share in shares.items() if share > limit]
    trouble = f"its machine has {' and '.join(over)} of its capacity" if over else ""
    return Machine(host.name, domain, trouble)


def _load(context: Context, host: str, kind: str, now: WallTime) -> float | None:
    client = context.access.client(host)
    request = SamplesRequest(resources=[HOST], series=kind, start=now - LATELY, end=now)
    reply = client.call(client.agent.ReadSamples, request, timeout=_PATIENCE)
    values = [value for samples in reply.samples for value in samples.value]
    return fmean(values) if values else None
