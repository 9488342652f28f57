"""Traffic as percentages by host, whatever sends it."""

from __future__ import annotations

from collections.abc import Mapping

from foreshadow.domain.errors import SpecError


def checked_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """Return the hosts that are to get traffic, with their percentages.

    :raises SpecError: when they are no percentages of all traffic.
    """
    if sum(weights.values()) != 100 or min(weights.values()) < 0:
        raise SpecError(
            f"{shown(weights)} are not percentages of all traffic",
            where="weights",
            remedy="give whole numbers of zero or more that sum to 100",
        )
    return {host: weight for host, weight in weights.items() if weight > 0}


def percentages(weights: Mapping[str, int]) -> dict[str, int]:
    """Return weights as whole percentages that sum to 100; empty when there is no weight at all.

    What rounding leaves over goes to the largest remainders, ties by name.
    """
    total = sum(weights.values())
    if total == 0:
        return {}
    exact = {name: weight * 100 / total for name, weight in weights.items() if weight > 0}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: 100 - sum(shares.values())]:
        shares[name] += 1
    return {name: share for name, share in shares.items() if share > 0}


def shown(weights: Mapping[str, int]) -> str:
    """Return weights as a person reads them."""
    return ", ".join(f"{host} {weight}%" for host, weight in sorted(weights.items())) or "nothing"
