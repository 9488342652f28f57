"""Looking at a resource before it moves: what its agents and directors say, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.errors import ForeshadowError, UnreachableError
from foreshadow.domain.fleet import RESTING, Acknowledged, Instance, Role, RunState
from foreshadow.domain.protocols import Director, Endpoint, InstanceDriver
from foreshadow.domain.spec import ResourceSpec
from foreshadow.domain.units import format_duration
from foreshadow.switchover.caches import caching, splits


@dataclass(frozen=True, slots=True)
class Standing:
    """What one host says about its instance.

    :ivar instance: ``None`` when there is none, or the host did not answer.
    :ivar trouble: why it cannot be relied on; empty when it is well.
    :ivar way_out: what would make a shadow of it that can.
    """

    host: str
    instance: Instance | None
    trouble: str = ""
    way_out: str = "make it well with shadow_instance"


@dataclass(frozen=True, slots=True)
class View:
    """What was seen of a resource at one time.

    :ivar traffic: for each director in the spec's order, its servers.
    :ivar cached: answers of a director are kept by others for a while.
    :ivar splits: every director can share traffic by percentages.
    :ivar staleness: seconds since the capture of what the destination acknowledged last; ``None``
        when it never did.
    """

    spec: ResourceSpec
    source: Standing
    destination: Standing
    traffic: tuple[tuple[Endpoint, ...], ...]
    staleness: float | None
    cached: bool = False
    splits: bool = True


def look(
    spec: ResourceSpec,
    source: str,
    destination: str,
    instances: Callable[[str], InstanceDriver],
    directors: Sequence[Director],
    acknowledged: Callable[[], Acknowledged | None],
    now: WallTime,
) -> View:
    """Return what agents and directors say now, all asked at once.

    A host that does not answer is a finding; a director that does not is an error, for nothing can
    be planned without it.

    :param acknowledged: returns what the destination acknowledged last.
    :raises UnreachableError: when a server of a director does not answer.
    """
    with ThreadPoolExecutor(3 + len(directors)) as pool:
        at_source = pool.submit(_standing, instances, spec.name, source, probe=True)
        at_destination = pool.submit(_standing, instances, spec.name, destination, probe=False)
        state = pool.submit(acknowledged)
        traffic = [pool.submit(director.read) for director in directors]
    held = state.result()
    return View(
        spec=spec,
        source=at_source.result(),
        destination=at_destination.result(),
        traffic=tuple(read.result() for read in traffic),
        staleness=None if held is None else now - held.captured_at,
        cached=bool(caching(directors)),
        splits=splits(directors),
    )


def _standing(
    instances: Callable[[str], InstanceDriver], resource: str, host: str, *, probe: bool
) -> Standing:
    driver = instances(host)
    try:
        instance = driver.get(resource)
        if instance is None:
            missing = f"{host} has no instance of {resource}"
            return Standing(host, None, missing, "create one with shadow_instance")
        if probe or instance.state is RunState.RUNNING:
            health = driver.health(resource)
            if not health.healthy:
                return Standing(host, instance, f"{host} fails its health check: {health.detail}")
    except UnreachableError as error:
        silent = f"{host} does not answer ({error.problem})"
        return Standing(host, None, silent, error.remedy or "look at its agent")
    return Standing(host, instance)


def objections(view: View, *, failover: bool) -> tuple[Blocked, ...]:
    """Return what stands against a switchover in the world as it was seen, in words.

    :param failover: the source may be dead, and the shadow as stale as it is.
    """
    found = [*_about_destination(view), *_about_directors(view, failover=failover)]
    if not failover:
        found += [*_about_source(view), *_about_state(view)]
    return tuple(found)


def _about_destination(view: View) -> list[Blocked]:
    name, host = view.spec.name, view.destination.host
    instance = view.destination.instance
    if view.destination.trouble or instance is None:
        said = f"{view.destination.trouble}; {view.destination.way_out}"
        return [Blocked(Block.NO_SHADOW, said)]
    if instance.role is not Role.SHADOW:
        return [
            Blocked(
                Block.DRIFT,
                f"{host} believes that it is the primary of {name}, the ledger names "
                f"{view.source.host}; run converge, or recover",
            )
        ]
    if instance.state is not RESTING[instance.mode]:
        expected = RESTING[instance.mode].value
        return [
            Blocked(
                Block.NO_SHADOW,
                f"the {instance.mode.value} shadow on {host} is {instance.state.value}, not "
                f"{expected}; bring it to rest with shadow_instance",
            )
        ]
    return []


def _about_source(view: View) -> list[Blocked]:
    name, source = view.spec.name, view.source
    if source.trouble or source.instance is None:
        return [
            Blocked(
                Block.DRIFT,
                f"the primary is not well: {source.trouble}; use failover to move without it",
            )
        ]
    if source.instance.role is not Role.PRIMARY:
        return [
            Blocked(
                Block.DRIFT,
                f"{source.host} does not hold the primary of {name}, as the ledger believes; "
                "run converge",
            )
        ]
    return []


def _about_directors(view: View, *, failover: bool) -> list[Blocked]:
    """A director that sees the source dead may show that nobody has the traffic."""
    expected = [{view.source.host: 100}, *([{}] if failover else [])]
    found = []
    for endpoint in (e for endpoints in view.traffic for e in endpoints):
        carried = {host: share for host, share in endpoint.weights.items() if share}
        if endpoint.drift:
            found.append(Blocked(Block.DRIFT, f"{endpoint.name}: {endpoint.drift}"))
        elif carried not in expected:
            shown = ", ".join(f"{host} {share} %" for host, share in sorted(carried.items()))
            found.append(
                Blocked(
                    Block.DRIFT,
                    f"{endpoint.name} sends traffic to {shown or 'nobody'}, the ledger believes "
                    f"{view.source.host} has all of it; put it right with traffic_switch",
                )
            )
    return found


def _about_state(view: View) -> list[Blocked]:
    if not view.spec.state:
        return []
    limit = view.spec.sync.max_staleness
    host = view.destination.host
    if view.destination.instance is None:
        return []  # there is nothing that could hold any
    if view.staleness is None:
        return [
            Blocked(Block.STALENESS, f"{host} never acknowledged any state; run state_sync first")
        ]
    if view.staleness > limit:
        return [
            Blocked(
                Block.STALENESS,
                f"the state on {host} is {format_duration(view.staleness)} old, more than "
                f"{format_duration(limit)}; run state_sync first",
            )
        ]
    return []


def serves(driver: InstanceDriver, resource: str) -> bool:
    """Return whether an instance answers its health check; no answer is none."""
    try:
        return driver.health(resource).healthy
    except ForeshadowError:
        return False
