"""Moving weights and pair terms a little, by what outcomes say.

The weights follow the multiplicative update of prediction with expert advice: each term is an
expert, and ``w * exp(-RATE * loss)`` takes weight from the one that misjudged the host (Freund and
Schapire, "A Decision-Theoretic Generalization of On-Line Learning", 1997). A term that could not be
judged sleeps: it keeps its weight (Freund et al., "Using and combining predictors that specialize",
1997). A share flows back to what the person wrote (fixed share: Herbster and Warmuth, "Tracking the
Best Expert", 1998), so that old lessons fade and a term with a constant bias is not pushed to the
edge. No outcome moves a weight by more than ``STEP``, and none falls below ``FLOOR``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from foreshadow.placement.weights import Weights, normalised

RATE = 0.5
"""How strongly a loss of 1 speaks."""

SHARE = 0.05
"""How much of the written weights flows back with each outcome."""

STEP = 0.05
"""The most that one outcome moves a weight."""

FLOOR = 0.05
"""The least that a term weighs, unless the person wrote less."""

MEMORY = 0.3
"""How much the newest stay counts in a pair term."""


def corrected_weights(
    weights: Mapping[str, float], written: Mapping[str, float], losses: Mapping[str, float]
) -> Weights:
    """Return the weights after one outcome; they sum to 1.

    :param weights: before it.
    :param written: what the spec says: where weights drift back to.
    :param losses: by term, how far it was off in 0..1; terms that were not judged are absent.
    """
    before, anchor = normalised(weights), normalised(written)
    if not losses:
        return before
    judged = {term: before[term] * math.exp(-RATE * loss) for term, loss in losses.items()}
    awake = math.fsum(before[term] for term in losses)
    total = math.fsum(judged.values())
    target = {
        term: judged[term] * awake / total if term in judged and total > 0 else weight
        for term, weight in before.items()
    }
    target = {term: (1 - SHARE) * weight + SHARE * anchor[term] for term, weight in target.items()}
    target = _raised(target, {term: min(FLOOR, weight) for term, weight in anchor.items()})
    longest = max(abs(target[term] - before[term]) for term in before)
    part = min(1.0, STEP / longest) if longest > 0 else 0.0
    return {term: before[term] + part * (target[term] - before[term]) for term in before}


def corrected_pair(pair: float, suited: float) -> float:
    """Return a pair term in -1..1 after one more stay.

    :param pair: before it; 0 when there was none.
    :param suited: how well the host suited the resource, in 0..1.
    """
    return min(1.0, max(-1.0, (1 - MEMORY) * pair + MEMORY * (2.0 * suited - 1.0)))


def _raised(weights: Weights, floors: Mapping[str, float]) -> Weights:
    """Return the weights with none below its floor; those above pay in proportion."""
    low = {term for term, weight in weights.items() if weight < floors[term]}
    if not low:
        return weights
    rest = 1.0 - math.fsum(floors[term] for term in low)
    high = math.fsum(weight for term, weight in weights.items() if term not in low)
    return {
        term: floors[term] if term in low else weight * rest / high
        for term, weight in weights.items()
    }
