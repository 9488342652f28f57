"""The gate: a forecast may act only while its own backtest says that it is worth it."""

from __future__ import annotations

from typing import Protocol

from foreshadow.domain.decision import Gate

LEAST_SKILL = 0.05
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

    def skill(self) -> tuple[float, str] | None:
        """Return 1 - error / error of the best naive forecast, and the name of that one."""
        ...


def gate(backtest: Proof) -> Gate:
    """Return whether the gate is open, with the figures and the reason in words."""
    skill = backtest.skill()
    days = f"the last {backtest.days:.1f} days"
    if skill is None or backtest.coverage is None or backtest.days < LEAST_DAYS:
        return Gate(
            open=False,
            skill=None if skill is None else round(skill[0], 4),
            coverage=_rounded(backtest.coverage),
            reason=f"the forecast could be tested on {days} only, {LEAST_DAYS:g} are needed",
        )
    value, rival = skill
    coverage = backtest.coverage
    if value < LEAST_SKILL:
        better = "hardly better" if value >= 0 else "worse"
        reason = f"over {days} the forecast was {better} than the naive one ({rival})"
    elif not LEAST_COVERAGE <= coverage <= MOST_COVERAGE:
        reason = f"over {days} the 80 % interval covered {coverage:.0%} of what came"
    else:
        reason = (
            f"over {days} the forecast erred {value:.0%} less than the best naive one ({rival}), "
            f"and its 80 % interval covered {coverage:.0%}"
        )
    is_open = value >= LEAST_SKILL and LEAST_COVERAGE <= coverage <= MOST_COVERAGE
    return Gate(is_open, round(value, 4), _rounded(coverage), reason)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
