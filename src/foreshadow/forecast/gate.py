"""The gate: a forecast may act only while its own backtest says that it is worth it."""

from __future__ import annotations

import math
from typing import Protocol

from foreshadow.domain.decision import Gate
from foreshadow.forecast.skill import Skill

LEAST_COVERAGE, MOST_COVERAGE = 0.62, 0.95
"""Errors of one week are few and alike: what they cover of 80 % scatters by about 8 points."""
LEAST_DAYS = 3.0


class Proof(Protocol):
    """What a rolling backtest found out about one metric."""

    @property
    def coverage(self) -> float | None:
        """Return the share of what came inside the 80 % interval; ``None`` while unknown."""
        ...

    @property
    def days(self) -> float:
        """Return how many days were judged."""
        ...

    def skill(self) -> Skill | None:
        """Return the skill against the naive forecast that is hardest to beat."""
        ...

    def changed(self) -> str | None:
        """Return how the last day went against what history had taught, or ``None``.

        A week of good days would hide one bad day for days, and just then nothing may act.
        """
        ...


def gate(backtest: Proof, false_alarms: str | None = None) -> Gate:
    """Return whether the gate is open, with the figures and the reason in words.

    It is shut by the first of: too short a test, a skill that may be chance, an interval that
    covers something else than it claims, a last day that history did not announce, and more false
    alarms than the budget allows.

    :param false_alarms: why they cannot be kept within the budget, as a sentence.
    """
    found = backtest.skill()
    value = None if found is None or not math.isfinite(found.value) else round(found.value, 4)
    days = f"the last {backtest.days:.1f} days"
    coverage = backtest.coverage
    told = None if coverage is None else round(coverage, 4)
    if found is None or coverage is None or backtest.days < LEAST_DAYS:
        why = f"the forecast could be tested on {days} only, {LEAST_DAYS:g} are needed"
        return Gate(False, value, told, why)
    against = f"the naive one ({found.rival})"
    if found.value < 0:
        return Gate(False, value, told, f"over {days} the forecast was worse than {against}")
    if found.lower <= 0:
        why = f"over {days} the forecast was hardly better than {against}: it may be chance"
        return Gate(False, value, told, why)
    if not LEAST_COVERAGE <= coverage <= MOST_COVERAGE:
        why = f"over {days} the 80 % interval covered {coverage:.0%} of what came"
        return Gate(False, value, told, why)
    against_it = backtest.changed() or false_alarms
    if against_it is not None:
        return Gate(False, value, told, against_it)
    return Gate(
        True,
        value,
        told,
        f"over {days} the forecast erred {found.value:.0%} less than the best naive one "
        f"({found.rival}), and its 80 % interval covered {coverage:.0%}",
    )
