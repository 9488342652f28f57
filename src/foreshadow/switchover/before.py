"""The steps before the pivot, in the order in which they are taken; each can be undone.

Undone in reverse they are the way back: first the source has all traffic again, then the
destination is out of it, then nothing is open there any more, and only then is it put to rest.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from foreshadow.domain.clock import isoformat
from foreshadow.domain.errors import (
    DirectorError,
    ServiceError,
    SyncError,
    UnreachableError,
)
from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.protocols import Endpoint
from foreshadow.domain.units import format_duration
from foreshadow.switchover.comparison import Counts
from foreshadow.switchover.handover import require_holding
from foreshadow.switchover.plan import HANDOVER, make_plan, require_fresh
from foreshadow.switchover.soaking import promised_latency, refuse_worse, told
from foreshadow.switchover.stage import BlockedError, Stage, shares_in, spelled
from foreshadow.switchover.step import Undoable
from foreshadow.switchover.view import objections

PROBE_EVERY = 0.25
"""Seconds between two looks at the shadow while it soaks."""


class Preflight(Undoable):
    """Looks again under the lease: the world must still be the one that the plan saw."""

    name = "preflight"

    def do(self, stage: Stage) -> str:
        """Refuse what guards, drift or a stale plan forbid."""
        plan = stage.plan
        view = stage.look()
        blocked = (*objections(view, failover=plan.failover), *stage.guards())
        if blocked:
            raise BlockedError.of(stage.resource, blocked)
        if HANDOVER in plan.steps:
            require_holding(stage.spec, stage.ports.directors)
        now = stage.pace.clock.now()
        remade = make_plan(
            view, now, drill=plan.drill, failover=plan.failover, decision_id=plan.decision_id
        )
        require_fresh(plan, remade, now)
        servers = [endpoint for endpoints in view.traffic for endpoint in endpoints]
        stage.counts.see(servers)
        rests = f"{stage.destination} is {plan.seen.shadow_state}"
        return f"{len(servers)} director servers agree, {rests}"


class Fence(Undoable):
    """Makes both hosts refuse older tokens: of late actors, and of the sync that is scheduled."""

    name = "fence"
    resting = True

    def do(self, stage: Stage) -> str:
        """Raise the fences; a source that is dead needs none."""
        hosts = stage.source, stage.destination
        with ThreadPoolExecutor(len(hosts)) as pool:
            raised = [pool.submit(stage.ports.raise_fence, host, stage.token) for host in hosts]
        for host, one in zip(hosts, raised, strict=True):
            try:
                one.result()
            except UnreachableError:
                if not (stage.plan.failover and host == stage.source):
                    raise
        return f"token {stage.token}"

    def undo(self, stage: Stage) -> str:
        """Let the source go on sending, under the token that its shadows now ask for."""
        if not stage.spec.state:
            return ""
        followers = stage.others(stage.source)
        stage.ports.sync.schedule(stage.source, followers, stage.token)
        return f"{stage.source} sends to {', '.join(followers)}"


class Sync(Undoable):
    """Sends the final delta."""

    name = "sync"

    def do(self, stage: Stage) -> str:
        """Bring the destination up to date; a dead source is taken with what there is."""
        try:
            acknowledged = stage.ports.sync.send(stage.source, stage.destination, stage.token)
        except (SyncError, UnreachableError) as error:
            if not stage.plan.failover:
                raise
            return f"no final delta ({error.problem}); {self._as_it_is(stage)}"
        stage.ledger.acknowledge(acknowledged)
        return f"version {acknowledged.version}"

    def _as_it_is(self, stage: Stage) -> str:
        held = stage.ports.sync.standing(stage.source, stage.destination)
        if held is None:
            return f"{stage.destination} has no state at all"
        stage.ledger.acknowledge(held)
        age = format_duration(stage.pace.clock.now() - held.captured_at)
        return f"the state on {stage.destination} is {age} old"

    def deadline(self, stage: Stage) -> float:
        """A delta may be large."""
        return max(30.0, stage.spec.sync.max_staleness)


class Activate(Undoable):
    """Thaws or starts the shadow, lets it reload its state and probes it."""

    name = "activate"
    resting = True

    def do(self, stage: Stage) -> str:
        """Activate; the moment of it is what directors' checks must be newer than."""
        stage.thawed_at = stage.at(stage.destination).activate(stage.spec, stage.token)
        return f"running since {isoformat(stage.thawed_at)}"

    def verify(self, stage: Stage) -> None:
        """The process runs; its probes were part of the activation."""
        instance = stage.at(stage.destination).get(stage.resource)
        if instance is None or instance.state is not RunState.RUNNING:
            state = "gone" if instance is None else instance.state.value
            raise ServiceError(
                f"is {state} right after its activation",
                where=f"{stage.resource} on {stage.destination}",
                remedy="look at its output on that host",
            )

    def deadline(self, stage: Stage) -> float:
        """A cold shadow has to start first."""
        return stage.spec.service.health.start_timeout + 10.0

    def undo(self, stage: Stage) -> str:
        """Bring it back to rest, when there is something to bring."""
        driver = stage.at(stage.destination)
        instance = driver.get(stage.resource)
        if instance is None:
            return "no instance is left"
        stage.require_idle(stage.destination)
        rested = driver.freeze(stage.spec, instance.mode, stage.token)
        return rested.state.value


class Promote(Undoable):
    """Gives the destination its writable state, before any request can write."""

    name = "promote"
    resting = True

    def do(self, stage: Stage) -> str:
        """Promote; the driver has seen it pass its health check with the state that moved."""
        # While requests are held nobody waits for longer than they are.
        held = HANDOVER in stage.plan.steps
        within = stage.spec.policy.pause_limit if held else None
        promoted = stage.at(stage.destination).promote(stage.resource, stage.token, within)
        if promoted.role is not Role.PRIMARY:
            where = f"{stage.resource} on {stage.destination}"
            raise ServiceError("did not take the role of the primary", where=where)
        return ""

    def deadline(self, stage: Stage) -> float:
        """One try while requests are held."""
        return 0.0 if HANDOVER in stage.plan.steps else super().deadline(stage)

    def undo(self, stage: Stage) -> str:
        """Take the role back, once nothing is open there.

        In a handover nobody was led there yet, and the source is sealed until this is done.
        """
        if HANDOVER not in stage.plan.steps:
            stage.require_idle(stage.destination)
        stage.demote(stage.destination)
        return ""


class Admit(Undoable):
    """Makes every director see the destination pass a check newer than its thaw."""

    name = "admit"

    def do(self, stage: Stage) -> str:
        """Admit it everywhere, without traffic yet."""
        stage.admit(stage.destination)
        return ""

    def undo(self, stage: Stage) -> str:
        """Wait until nothing is open there, then take it out of the checks."""
        host = stage.destination
        stage.empty(host, may_be_gone=True)
        stage.retire(host)
        return f"nothing is open on {host}"

    def undo_deadline(self, stage: Stage) -> float:
        """As long as requests may take."""
        return stage.spec.service.drain.timeout


class Shift(Undoable):
    """Moves the destination's share of the traffic up to one percentage."""

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self.name = f"shift-{percent}"

    def do(self, stage: Stage) -> str:
        """Set the shares on every director."""
        stage.direct(shares(stage, self.percent))
        return f"{self.percent} % on {stage.destination}"

    def verify(self, stage: Stage) -> None:
        """Every server of every director shows them."""
        if not stage.shows(shares(stage, self.percent)):
            raise DirectorError(
                f"a director does not show {self.percent} % on {stage.destination}",
                where=f"resource {stage.resource}",
            )

    def undo(self, stage: Stage) -> str:
        """Give the source all traffic, before the destination loses any."""
        stage.direct({stage.source: 100}, back=True)
        return f"all traffic on {stage.source}"


class Soak(Undoable):
    """Watches the destination carry its share for a while."""

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self.name = f"soak-{percent}"

    def do(self, stage: Stage) -> str:
        """Look again and again until the time is over.

        :raises ServiceError: when it gets worse, or serves clients worse than the source.
        """
        clock, counts, promised = stage.pace.clock, Counts(), promised_latency(stage)
        end = clock.monotonic() + stage.plan.soak
        looks = 0
        while True:  # the last look is after the time is over
            counts.see(watch(stage, self.percent))
            refuse_worse(stage, counts, promised)
            looks += 1
            if (left := end - clock.monotonic()) <= 0:
                break
            stage.pace.sleep(min(PROBE_EVERY, left))
        return f"{looks} looks; {told(stage, counts)}"


class Verify(Undoable):
    """The last look before the source is let go: everything is on the destination, and well."""

    name = "verify"

    def do(self, stage: Stage) -> str:
        """Look once, and hard."""
        watch(stage, 100, successes=stage.spec.service.health.successes)
        return f"all traffic on {stage.destination}"


class Drain(Undoable):
    """Waits until the source has nothing left to do, as it says itself."""

    name = "drain"

    def do(self, stage: Stage) -> str:
        """Wait.

        :raises ServiceError: when requests are still open at the deadline.
        """
        stage.empty(stage.source, may_be_gone=stage.plan.failover)
        return f"nothing is open on {stage.source}"

    def deadline(self, stage: Stage) -> float:
        """As long as requests may take."""
        return stage.spec.service.drain.timeout


def shares(stage: Stage, percent: int) -> dict[str, int]:
    """Return the traffic by host with a percentage on the destination."""
    both = {stage.destination: percent, stage.source: 100 - percent}
    return {host: share for host, share in both.items() if share}


def watch(stage: Stage, percent: int, successes: int = 1) -> tuple[Endpoint, ...]:
    """Look at the destination, directly and through each director; return what these show.

    A probe that fails is asked once more, so that one lost packet is not an incident.

    :param percent: of the traffic that it should have.
    :raises ServiceError: when it does not pass its probes.
    :raises DirectorError: when a director does not see it well, or shows something else.
    """
    where = f"{stage.resource} on {stage.destination}"
    driver = stage.at(stage.destination)
    health = driver.health(stage.resource, successes)
    if not health.healthy:
        health = driver.health(stage.resource, successes)
    if not health.healthy:
        raise ServiceError(f"fails its health check under traffic: {health.detail}", where=where)
    expected = shares(stage, percent)
    seen = tuple(e for director in stage.ports.directors for e in director.read())
    stage.counts.see(seen)
    for endpoint in seen:
        shown = shares_in(endpoint.weights)
        if shown != expected:
            problem = f"shows {spelled(shown)} where {spelled(expected)} was set"
            remedy = "a server failed there, or somebody else changed it"
            raise DirectorError(problem, where=endpoint.name, remedy=remedy)
        if stage.destination not in endpoint.checked:
            raise DirectorError(f"no longer sees {where} pass its check", where=endpoint.name)
    return seen
