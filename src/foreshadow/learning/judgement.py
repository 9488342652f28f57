"""Holding an outcome against the terms of the decision that led to it.

Each term is a prediction on a scale of 0..1, and each has something observable beside it:

=====================  ============================================================================
``availability``       the headroom that was left: 1 - observed peak utilization
``network_proximity``  how much of the usual latency was kept: baseline / observed, at most 1
``load_similarity``    how well the host suited the resource: the smaller of the latency kept and
                       the headroom kept (observed / predicted headroom, at most 1)
=====================  ============================================================================

The *loss* of a term is the distance between the two. What could not be observed has no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshadow.domain.outcomes import Observed


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one outcome says.

    :ivar losses: by affinity term, how far it was off, in 0..1; only what could be observed.
    :ivar suited: how well the host suited the resource, in 0..1; ``None`` when not observed.
    """

    losses: dict[str, float] = field(default_factory=dict)
    suited: float | None = None


def judge(outcome: Observed, terms: Mapping[str, float]) -> Judgement:
    """Return how far each term was off.

    :param terms: of the destination at the decision; empty when the move had no decision, and
        then only ``suited`` is judged.
    """
    latency = _latency_kept(outcome)
    headroom = None if outcome.utilization is None else _clip(1.0 - outcome.utilization)
    suited = min(
        (part for part in (latency, _headroom_kept(outcome)) if part is not None), default=None
    )
    observed = {
        "availability": headroom,
        "network_proximity": latency,
        "load_similarity": suited,
    }
    losses = {
        term: abs(value - seen)
        for term, value in terms.items()
        if (seen := observed.get(term)) is not None
    }
    return Judgement(losses, suited)


def _latency_kept(outcome: Observed) -> float | None:
    if outcome.latency is None or outcome.baseline_latency is None or outcome.latency <= 0:
        return None
    return _clip(outcome.baseline_latency / outcome.latency)


def _headroom_kept(outcome: Observed) -> float | None:
    if outcome.utilization is None or outcome.predicted_destination is None:
        return None
    predicted = 1.0 - outcome.predicted_destination
    return _clip((1.0 - outcome.utilization) / predicted) if predicted > 0 else None


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
