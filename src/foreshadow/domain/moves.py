"""Switchovers: the plan, its steps in the journal, and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from blake3 import blake3

from foreshadow.domain.clock import WallTime, isoformat


class Outcome(StrEnum):
    """How a switchover ended, or that it was only planned."""

    PLANNED = "planned"
    UNCHANGED = "unchanged"
    SWITCHED = "switched"
    REVERSED = "reversed"
    RECOVERED = "recovered"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"


class StepState(StrEnum):
    """Where a step stands in the journal."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Seen:
    """The world that a plan was made in: when it differs at apply, the plan is stale.

    :ivar spec: digest of the resource's spec.
    :ivar traffic: each director's percentages by host, in the spec's order of directors.
    :ivar shadow_state: run state of the destination's instance.
    """

    spec: str
    source: str
    destination: str
    traffic: tuple[tuple[tuple[str, int], ...], ...]
    shadow_state: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A switchover that could be made: what it saw, what it will do, and until when it holds.

    :ivar steps: names of the steps in order.
    :ivar weights: percentages on the destination, one ``shift`` step each.
    :ivar expires_at: wall time from which it is stale; not part of its identity.
    """

    resource: str
    seen: Seen
    steps: tuple[str, ...]
    weights: tuple[int, ...]
    soak: float
    drill: bool
    failover: bool
    decision_id: str | None
    expires_at: WallTime

    @property
    def id(self) -> str:
        """Return the digest of what the plan saw and does: equal plans have equal ids."""
        content = {key: value for key, value in asdict(self).items() if key != "expires_at"}
        return blake3(json.dumps(content, sort_keys=True).encode()).hexdigest(16)

    def plain(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        content = json.loads(json.dumps(asdict(self)))
        content["seen"]["traffic"] = [dict(row) for row in content["seen"]["traffic"]]
        return {"id": self.id, **content, "expires_at": isoformat(self.expires_at)}


@dataclass(frozen=True, slots=True)
class Convergence:
    """When one server, or one resolver, of a director had followed a switchover.

    :ivar director: what it answers about: the kind and the name of the record.
    :ivar server: its name; ``authoritative`` is false for a resolver.
    :ivar converged_at: when it first led to the destination, and did so from then on; ``None``
        when it never did.
    :ivar ttl: the largest TTL that it gave to an answer of before, in seconds.
    :ivar overstayed: seconds for which it went on with the old answer after that had run out.
    :ivar problem: one line: why it did not answer in the end; empty when it did.
    """

    director: str
    server: str
    authoritative: bool
    converged_at: WallTime | None
    ttl: float = 0.0
    overstayed: float = 0.0
    problem: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON types."""
        at = self.converged_at
        return {**asdict(self), "converged_at": None if at is None else isoformat(at)}


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One line of the journal: a step and what became of it.

    :ivar detail: one line for a person: what was seen or done, or the error.
    :ivar convergence: of the step that waited for it, for each server and resolver.
    """

    name: str
    state: StepState
    started_at: WallTime
    ended_at: WallTime | None = None
    detail: str = ""
    convergence: tuple[Convergence, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the line as JSON types."""
        return {
            "name": self.name,
            "state": self.state.value,
            "started_at": isoformat(self.started_at),
            "ended_at": None if self.ended_at is None else isoformat(self.ended_at),
            "seconds": None if self.ended_at is None else round(self.ended_at - self.started_at, 6),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Switchover:
    """A switchover as the ledger knows it.

    :ivar outcome: ``None`` while it is under way.
    :ivar pivoted: true from the commit on: only forward from there.
    :ivar token: the fencing token of its actor.
    :ivar switch_ms: from the start of the activation to all new requests on the destination.
    :ivar pause_ms: how long requests were held; 0 without ``pause_writes``.
    :ivar rto_seconds: from the start of the switchover to all new requests on the destination.
    :ivar rpo_seconds: age of the state on the destination at the commit.
    :ivar requests: that the destination served until the commit, as the directors counted them;
        ``None`` where they do not count, or their counts died with a controller.
    :ivar errors: those among them that it failed; another host may have answered them then.
    """

    id: str
    resource: str
    source: str
    destination: str
    plan: Plan
    token: int
    started_at: WallTime
    outcome: Outcome | None = None
    direction: str | None = None
    pivoted: bool = False
    ended_at: WallTime | None = None
    steps: tuple[StepRecord, ...] = ()
    decision_id: str | None = None
    switch_ms: float | None = None
    pause_ms: float | None = None
    rto_seconds: float | None = None
    rpo_seconds: float | None = None
    requests: int | None = None
    errors: int | None = None
    error: str | None = None

    @property
    def convergence(self) -> tuple[Convergence, ...]:
        """Return when each server and resolver had followed; empty where nothing is cached."""
        return tuple(one for step in self.steps for one in step.convergence)

    def plain(self) -> dict[str, Any]:
        """Return the switchover as JSON types: what the module gives."""
        return {
            "id": self.id,
            "resource": self.resource,
            "outcome": None if self.outcome is None else self.outcome.value,
            "direction": self.direction,
            "source": self.source,
            "destination": self.destination,
            "steps": [step.plain() for step in self.steps],
            "plan": self.plan.plain(),
            "decision_id": self.decision_id,
            "pivoted": self.pivoted,
            "started_at": isoformat(self.started_at),
            "ended_at": None if self.ended_at is None else isoformat(self.ended_at),
            "switch_ms": self.switch_ms,
            "pause_ms": self.pause_ms,
            "rto_seconds": self.rto_seconds,
            "rpo_seconds": self.rpo_seconds,
            "requests": self.requests,
            "errors": self.errors,
            "convergence": [one.plain() for one in self.convergence],
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may act on a resource now.

    :ivar holder: ``host:boot id:pid:start time`` of the process that holds it.
    :ivar token: the fencing token; it grows with each new holder.
    """

    resource: str
    holder: str
    token: int
    expires_at: WallTime
