"""The hard constraints: what rules a host out, whatever its score.

Each rule is a small function that gives a sentence when it stands against the host. They are asked
in a fixed order, the most basic first, and the first one that speaks is the rejection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from foreshadow.domain.decision import Rejection
from foreshadow.domain.fleet import Host
from foreshadow.domain.spec import ResourceSpec
from foreshadow.placement.fleet import Amounts, Fleet

UNITS = {"cpu": "cores", "memory": "bytes", "rate": "requests/s"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A resource and a host, in their fleet: what a rule looks at."""

    fleet: Fleet
    spec: ResourceSpec
    host: Host


def rejection(pair: Pair) -> Rejection | None:
    """Return why the host cannot carry the resource, or ``None`` when it can."""
    for rule, speaks in RULES.items():
        if reason := speaks(pair):
            return Rejection(rule, reason)
    return None


def overflow(capacity: Amounts, load: Amounts, own: Amounts) -> tuple[str, float, float] | None:
    """Return the kind that does not fit, what would be used and the limit; ``None`` if all fits."""
    for kind, limit in capacity.items():
        used = load.get(kind, 0.0) + own.get(kind, 0.0)
        if used > limit and own.get(kind, 0.0) > 0:
            return kind, used, limit
    return None


def amount(kind: str, value: float) -> str:
    """Return an amount of demand with its unit, for a sentence."""
    if kind == "memory":
        return f"{value / 2**20:,.0f} MiB"
    return f"{value:,.3g} {UNITS[kind]}" if value < 1000 else f"{value:,.0f} {UNITS[kind]}"


def _relay(pair: Pair) -> str:
    return f"{pair.host.name} is a load balancer's host" if pair.host.relay else ""


def _primary(pair: Pair) -> str:
    here = pair.fleet.primaries.get(pair.spec.name) == pair.host.name
    return f"{pair.host.name} carries the primary of {pair.spec.name}" if here else ""


def _candidate(pair: Pair) -> str:
    wanted = pair.spec.shadows.candidates
    if not wanted.groups and not wanted.hosts:
        return ""
    if pair.host.name in wanted.hosts or set(pair.host.groups) & set(wanted.groups):
        return ""
    named = [*(f"group {group}" for group in wanted.groups), *wanted.hosts]
    return f"{pair.host.name} is not among the candidates ({', '.join(named)})"


def _labels(pair: Pair) -> str:
    for label, value in pair.spec.placement.labels.items():
        has = pair.host.labels.get(label)
        if has != value:
            told = f"has {label}={has}" if has is not None else f"has no label {label}"
            return f"{pair.host.name} {told}, and {label}={value} is asked for"
    return ""


def _driver(pair: Pair) -> str:
    if pair.host.driver in pair.fleet.drivers:
        return ""
    return f"no installed package offers the instance driver {pair.host.driver} of {pair.host.name}"


def _release(pair: Pair) -> str:
    wanted = pair.spec.shadows.release
    instance = pair.fleet.instance(pair.spec.name, pair.host.name)
    if wanted is None or instance is None or instance.release in (None, wanted):
        return ""
    return f"{pair.host.name} has release {instance.release}, and {wanted} is asked for"


def _anti_affinity(pair: Pair) -> str:
    name, host = pair.spec.name, pair.host.name
    for other in sorted(pair.fleet.residents(host) - {name}):
        if pair.fleet.keep_apart(name, other):
            return f"{other} is on {host}, and must not share a host with {name}"
    return ""


def _capacity(pair: Pair) -> str:
    load = pair.fleet.load(pair.host.name, without=pair.spec.name)
    over = overflow(pair.fleet.limits(pair.host.name), load, pair.fleet.peak(pair.spec.name))
    if over is None:
        return ""
    kind, used, limit = over
    return (
        f"with {pair.spec.name}, {pair.host.name} would peak at {amount(kind, used)}, "
        f"and has {amount(kind, limit)}"
    )


RULES: dict[str, Callable[[Pair], str]] = {
    "relay": _relay,
    "primary": _primary,
    "candidate": _candidate,
    "labels": _labels,
    "driver": _driver,
    "release": _release,
    "anti_affinity": _anti_affinity,
    "capacity": _capacity,
}
"""The rules by name, in the order in which they are asked."""
