"""Whether values can be what their declared unit says.

A percentage that is declared a ratio would be an observed breach at one percent of load, and a
counter one for ever. Such values are no evidence: they are told in words, and not used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from foreshadow.domain.series import Series
from foreshadow.domain.spec import Unit

_MOST_RATIO = 2.0
"""A share of a capacity may pass 1 for a while; the usual one is not twice the whole. What is
usual, a few values cannot tell: they may all be of the overload."""
_MOST_DEMAND = 5.0
"""Demand may be many times the capacity in a rush, but not in one twentieth of all history."""
_MOST_SECONDS = 100.0
"""How many times its limit a latency may be for half of its history, or seconds without a limit."""
_LEAST_PERCENT = 0.0101
_ENOUGH = 48
_RISING = 0.98


def implausible(unit: Unit, limit: float | None, *parts: Series | None) -> str | None:
    """Return why values cannot be in the unit that is declared for them, or ``None``.

    :param unit: of a utilization or a latency.
    :param limit: of a latency, seconds.
    :param parts: of the series, already in base units.
    """
    known = _known(*parts)
    if not len(known):
        return None
    middle = float(np.median(known))
    most = _MOST_RATIO if len(known) >= _ENOUGH else _MOST_DEMAND
    if unit == "ratio" and (middle > most or _high(known) > _MOST_DEMAND):
        shown = f"{middle:.3g} at its median and {_high(known):.3g} at its 95 % quantile"
        return f"it is declared a ratio and is {shown}: declare unit: percent if it is one"
    if unit == "percent" and middle > 100 * _MOST_RATIO:
        return f"it is declared percent and is {100 * middle:.3g} at its median: is it a counter?"
    if unit == "seconds" and len(known) >= _ENOUGH and middle > _MOST_SECONDS * (limit or 1.0):
        return (
            f"it is declared seconds and is {middle:.4g} at its median: declare unit: milliseconds "
            "if it is in them"
        )
    return None


def dubious(unit: Unit, *parts: Series | None) -> str | None:
    """Return what a person should look at although the values may be right, or ``None``."""
    known = _known(*parts)
    if unit == "percent" and len(known) >= _ENOUGH and 0 < known.max() < _LEAST_PERCENT:
        return (
            f"it never passes {100 * known.max():.3g} percent: declare unit: ratio if it is a ratio"
        )
    return None


def not_a_rate(limit: float, *parts: Series | None) -> str | None:
    """Return why values cannot be the demand on a host of this capacity, or ``None``."""
    known = _known(*parts)
    if limit <= 0 or len(known) < _ENOUGH or _high(known) <= _MOST_DEMAND * limit:
        return None
    if (np.diff(known) > 0).mean() >= _RISING:
        return "it only ever rises, as a counter does: ask for rate(...) of it"
    return (
        f"it is {_high(known) / limit:.3g} times what the host can carry at its 95 % quantile: "
        "check its unit, and the capacity of the host"
    )


def _known(*parts: Series | None) -> npt.NDArray[np.float64]:
    values = [np.asarray(part.values, dtype=np.float64) for part in parts if part is not None]
    every = np.concatenate([np.empty(0), *values])
    known: npt.NDArray[np.float64] = every[np.isfinite(every)]
    return known


def _high(known: npt.NDArray[np.float64]) -> float:
    if len(known) < _ENOUGH:
        return float(np.median(known))
    return float(np.quantile(known, 0.95, method="weibull"))
