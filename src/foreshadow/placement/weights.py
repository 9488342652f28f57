"""The weights of the affinity terms, and whose word counts."""

from __future__ import annotations

import math
from collections.abc import Mapping

from foreshadow.domain.errors import SpecError
from foreshadow.domain.spec import WeightsSpec

TERMS = ("load_similarity", "network_proximity", "availability")
"""The affinity terms, in the order of the formula."""

Weights = dict[str, float]


def normalised(weights: Mapping[str, float], where: str = "weights") -> Weights:
    """Return the weights scaled to sum to 1, in the order of the formula.

    :raises SpecError: for an unknown term, what is no weight, or nothing but zeros.
    """
    for term in weights:
        if term not in TERMS:
            raise SpecError(
                f"unknown term {term}", where=where, remedy=f"known terms: {', '.join(TERMS)}"
            )
    read = {term: _weight(term, weight, where) for term, weight in weights.items()}
    total = math.fsum(read.values())
    if total <= 0:
        raise SpecError("no term weighs anything", where=where, remedy="give one more than zero")
    return {term: read.get(term, 0.0) / total for term in TERMS}


def _weight(term: str, weight: object, where: str) -> float:
    """Return one weight; templates may have made text of it."""
    try:
        number = float(str(weight))
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SpecError(
            f"{term} cannot weigh {str(weight)[:40]}",
            where=where,
            remedy="write a number of 0 or more",
        )
    return number


def resolve(
    spec: WeightsSpec,
    *,
    learned: Mapping[str, float] | None = None,
    pinned: Mapping[str, float] | None = None,
    asked: Mapping[str, float] | None = None,
) -> Weights:
    """Return the weights that count: asked for in this call, pinned by a person, learned, written.

    A layer that names only some terms changes only those, before all are scaled to sum to 1.

    :raises SpecError: when a layer names an unknown term or no weight is left.
    """
    weights = normalised(spec.model_dump())
    layers = {"learned weights": learned, "pinned weights": pinned, "weights": asked}
    for where, layer in layers.items():
        if layer:
            weights = normalised({**weights, **layer}, where)
    return weights
