"""The decision on one resource."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from foreshadow.decide.reading import Question, Reading
from foreshadow.decide.words import sentence
from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import (
    Block,
    Blocked,
    Decision,
    Gate,
    Ranked,
    Trigger,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Case:
    """What is decided about.

    :ivar tick: metric seconds within which the same verdict is the same decision.
    :ivar questions: by the name of the metric.
    :ivar notes: what a person should know whatever the verdict, such as that all is paused.
    :ivar problems: reasons why metrics could not be read, beside those of the readings.
    """

    resource: str
    host: str
    at: MetricTime
    decided_at: WallTime
    tick: float
    readings: Sequence[Reading]
    questions: dict[str, Question]
    problems: tuple[Blocked, ...] = ()
    notes: tuple[str, ...] = ()


def trigger_of(readings: Sequence[Reading]) -> Trigger:
    """Return what asks for a switch; a forecast asks through an open gate only."""
    if any(reading.observed for reading in readings):
        return Trigger.OBSERVED
    if any(reading.foreseen and reading.gate.open for reading in readings):
        return Trigger.FORECAST
    return Trigger.NONE


def decide(
    case: Case, destination: Ranked | None = None, blocks: Sequence[Blocked] = ()
) -> Decision:
    """Return the decision.

    :param destination: where to, and ``blocks`` what stands against it, when something asks for a
        switch (see :func:`trigger_of`).
    """
    trigger = trigger_of(case.readings)
    foreseen = [reading for reading in case.readings if reading.foreseen]
    if trigger is not Trigger.NONE:
        against = tuple(blocks)
        verdict = Verdict.BLOCKED if against else Verdict.SWITCH
    elif foreseen:
        trigger, verdict = Trigger.FORECAST, Verdict.BLOCKED
        against = tuple(_closed(reading) for reading in foreseen)
    else:
        verdict, against = Verdict.STAY, _blind(case)
    told = sorted(case.readings, key=_urgency)
    first = told[0] if told else None
    breach_at = first.signal.breach_at if first and trigger is not Trigger.NONE else None
    likely = [r.probability for r in case.readings if r.probability is not None]
    return Decision(
        id=_id(case, verdict),
        resource=case.resource,
        at=case.at,
        decided_at=case.decided_at,
        verdict=verdict,
        trigger=trigger,
        reasons=_reasons(case, told, against),
        probability=max(likely, default=None),
        blocked_by=tuple(dict.fromkeys(block.by for block in against)),
        breach_at=breach_at,
        lead_seconds=None if breach_at is None else round(max(0.0, breach_at - case.at), 3),
        signals={reading.name: reading.signal for reading in case.readings},
        destination=destination,
        gate=first.gate if first else Gate(open=False, reason="no metric is declared"),
        gates={reading.name: reading.gate for reading in case.readings},
        model=first.model if first else None,
    )


def _urgency(reading: Reading) -> tuple[int, float]:
    """Return the sort key of a reading: what acts, what would, what is known, what is not."""
    breach = reading.signal.breach_at
    when = math.inf if breach is None else breach
    if reading.observed:
        return 0, when
    if reading.foreseen:
        return (1 if reading.gate.open else 2), when
    return (3 if reading.model is not None else 4), when


def _closed(reading: Reading) -> Blocked:
    why = reading.gate.reason
    return Blocked(Block.GATE, f"the forecast of {reading.name} may not act: {why}")


def _blind(case: Case) -> tuple[Blocked, ...]:
    """Return why nothing is forecast at all; nothing when at least one metric is."""
    if any(reading.model is not None for reading in case.readings):
        return ()
    return (*case.problems, *(r.problem for r in case.readings if r.problem is not None))


def _reasons(case: Case, told: Sequence[Reading], against: Sequence[Blocked]) -> tuple[str, ...]:
    """Return what the most urgent metric says, what stands against it, and then the rest."""
    said = [sentence(reading, case.questions[reading.name], case.host) for reading in told]
    in_sentences = {r.problem for r in told if r.signal.predicted is None and not r.observed}
    own = [r.problem for r in told if r.problem is not None]
    later = [block.reason for block in (*case.problems, *own) if block not in in_sentences]
    blocks = [block.reason for block in against if block not in in_sentences]
    lines = (*said[:1], *blocks, *case.notes, *said[1:], *later)
    return tuple(dict.fromkeys(lines)) or ("no metric is declared, so nothing can be told",)


def _id(case: Case, verdict: Verdict) -> str:
    tick = math.floor(case.at / case.tick)
    return blake3(f"{case.resource} {tick} {verdict.value}".encode()).hexdigest(16)
