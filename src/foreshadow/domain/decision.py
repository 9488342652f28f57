"""The verdict on one resource at one time, with everything that explains it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from foreshadow.domain.clock import MetricTime, WallTime, isoformat


class Verdict(StrEnum):
    """What to do: nothing, switch, or nothing although a trigger fired."""

    STAY = "stay"
    SWITCH = "switch"
    BLOCKED = "blocked"


class Trigger(StrEnum):
    """What asked for a switch: a forecast breach, a breach that is there, or nothing."""

    FORECAST = "forecast"
    OBSERVED = "observed"
    NONE = "none"


class Block(StrEnum):
    """The guard or condition that stands against a switch."""

    MODE = "mode"
    COOLDOWN = "cooldown"
    WINDOW = "window"
    STALENESS = "staleness"
    CAPACITY = "capacity"
    HISTORY = "history"
    METRICS = "metrics"
    GATE = "gate"
    PAUSED = "paused"
    IN_PROGRESS = "in_progress"
    NO_SHADOW = "no_shadow"
    NO_BENEFIT = "no_benefit"
    DRIFT = "drift"
    CONCURRENCY = "concurrency"
    DRILL = "drill"
    FLAPPING = "flapping"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Blocked:
    """One reason against a switch, as a name and as a sentence."""

    by: Block
    reason: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What one metric says: now, usual, predicted, and when it crosses its threshold.

    Values are in base units (ratio, seconds). ``predicted``, ``lower`` and ``upper`` belong to
    the time of the highest prediction within the horizon: the policy's quantile, and the bounds
    of the 80 % interval. What is unknown is ``None``.
    """

    now: float | None = None
    baseline: float | None = None
    predicted: float | None = None
    lower: float | None = None
    upper: float | None = None
    threshold: float | None = None
    breach_at: MetricTime | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a forecast may act on this resource, and what its own backtest says.

    :ivar skill: 1 - (error of the forecast / error of the best naive forecast); above 0 beats it.
    :ivar coverage: share of past values that fell into the 80 % interval.
    :ivar reason: in words, why it is open or closed.
    """

    open: bool
    skill: float | None = None
    coverage: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Which model spoke, on how many points, fitted when (metric time)."""

    name: str
    points: int
    fitted_at: MetricTime | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a host cannot carry a resource: the rule's name, and a sentence."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """A host in the ranking of a resource: its affinity score and the terms that made it.

    :ivar terms: ``load_similarity``, ``network_proximity``, ``availability``, each in 0..1.
    :ivar rejected: why it cannot be used; ``None`` when it can.
    """

    host: str
    score: float
    terms: dict[str, float] = field(default_factory=dict)
    rejected: Rejection | None = None

    def plain(self) -> dict[str, Any]:
        """Return the row as JSON types."""
        rejected = self.rejected and {"rule": self.rejected.rule, "reason": self.rejected.reason}
        return {
            "host": self.host,
            "score": round(self.score, 6),
            "terms": {name: round(value, 6) for name, value in self.terms.items()},
            "rejected": rejected,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one resource at one time.

    :ivar at: the metric time that it speaks about.
    :ivar decided_at: the wall time at which it was made.
    :ivar probability: of a breach within the horizon, as far as the model can tell.
    :ivar reasons: sentences for a person, the most important first.
    :ivar lead_seconds: metric seconds from ``at`` to ``breach_at``.
    :ivar gate: of the metric that speaks first; ``gates`` has that of each.
    """

    id: str
    resource: str
    at: MetricTime
    decided_at: WallTime
    verdict: Verdict
    trigger: Trigger
    reasons: tuple[str, ...]
    probability: float | None = None
    blocked_by: tuple[Block, ...] = ()
    breach_at: MetricTime | None = None
    lead_seconds: float | None = None
    signals: dict[str, Signal] = field(default_factory=dict)
    destination: Ranked | None = None
    gate: Gate = Gate(open=False)
    gates: dict[str, Gate] = field(default_factory=dict)
    model: Model | None = None

    def plain(self) -> dict[str, Any]:
        """Return the decision as JSON types, times as ISO 8601: what the lookup gives."""
        return {
            "id": self.id,
            "resource": self.resource,
            "at": isoformat(self.at),
            "decided_at": isoformat(self.decided_at),
            "verdict": self.verdict.value,
            "trigger": self.trigger.value,
            "probability": self.probability,
            "reasons": list(self.reasons),
            "blocked_by": [block.value for block in self.blocked_by],
            "breach_at": _iso(self.breach_at),
            "lead_seconds": self.lead_seconds,
            "signals": {name: _signal(signal) for name, signal in self.signals.items()},
            "destination": self.destination
            and {
                key: value for key, value in self.destination.plain().items() if key != "rejected"
            },
            "gate": _gate(self.gate),
            "gates": {name: _gate(gate) for name, gate in self.gates.items()},
            "model": self.model
            and {
                "name": self.model.name,
                "points": self.model.points,
                "fitted_at": _iso(self.model.fitted_at),
            },
        }


def _iso(at: MetricTime | None) -> str | None:
    return None if at is None else isoformat(at)


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "open": gate.open,
        "skill": gate.skill,
        "coverage": gate.coverage,
        "reason": gate.reason,
    }


def _signal(signal: Signal) -> dict[str, Any]:
    return {
        "now": signal.now,
        "baseline": signal.baseline,
        "predicted": signal.predicted,
        "lower": signal.lower,
        "upper": signal.upper,
        "threshold": signal.threshold,
        "breach_at": _iso(signal.breach_at),
    }
