"""The ten seconds at the top of the page: one headline, one sentence, a few figures."""

from __future__ import annotations

from dataclasses import dataclass

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.report.clients import OURS, Clients
from foreshadow.report.facts import Facts, ResourceFacts
from foreshadow.report.words import count, plural, span

BREACH = {True: "it would have breached", False: "the breach that was expected"}
"""How the breach is called, by whether it was observed."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key figure.

    :ivar against: what to compare it with; empty when there is nothing.
    :ivar good: whether it is as one would wish; ``None`` when it is neither.
    """

    name: str
    value: str
    against: str = ""
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a person reads first."""

    headline: str
    sentence: str
    keys: tuple[Key, ...] = ()


def summarise(facts: Facts) -> Summary:
    """Return the top of the page."""
    moved = [(row, move) for row in facts.resources if (move := row.told_move) is not None]
    if not moved:
        return _quiet(facts)
    row, move = max(moved, key=lambda pair: pair[1].started_at)
    lead, seen = lead_seconds(row, move)
    before = f" {span(lead)} before {BREACH[seen]}" if lead is not None and lead > 0 else ""
    headline = f"{row.spec.name} moved from {move.source} to {move.destination}{before}."
    moves = sum(m.pivoted for r in facts.resources for m in r.switchovers)
    sentence = (
        f"{plural(moves, 'switchover')} of {plural(len(facts.resources), 'resource')}, "
        f"{_undone(facts)}."
    )
    keys = [
        _lead_key(row, lead),
        *_client_keys(facts.clients),
        Key("Switch", span(move.switch_ms / 1000)) if move.switch_ms is not None else None,
        _age_key(row, move),
    ]
    return Summary(headline, sentence, tuple(key for key in keys if key is not None))


def lead_seconds(row: ResourceFacts, move: Switchover) -> tuple[float | None, bool]:
    """Return metric seconds from the move to the breach, and whether the breach was observed.

    Observed means that the demand, measured afterwards, would have breached the old host; until it
    has been measured, the breach that the decision expected counts.
    """
    outcome, moved = row.outcome(move.id), moved_at(row, move)
    if moved is None:
        return None, False
    if outcome is not None and outcome.breach_at is not None:
        return outcome.breach_at - moved, True
    expected = (t.breach_at for t in row.trajectories if t.breach_at is not None)
    breach_at = min(expected, default=None)
    return (None if breach_at is None else breach_at - moved), False


def moved_at(row: ResourceFacts, move: Switchover | None) -> MetricTime | None:
    """Return the metric time from which all new requests went to the destination."""
    if move is None or (move.ended_at is None and move.rto_seconds is None):
        return None
    all_there = None if move.rto_seconds is None else move.started_at + move.rto_seconds
    return row.spec.metrics.clock.clock().metric(WallTime(all_there or move.ended_at or 0.0))


def _quiet(facts: Facts) -> Summary:
    number = len(facts.resources)
    if number == 0:
        return Summary("Nothing is registered.", "Register a resource, and it will appear here.")
    asking = {
        word: [row.spec.name for row in facts.resources if _verdict(row) == verdict]
        for verdict, word in (("switch", "to be moved"), ("blocked", "blocked"))
    }
    told = "".join(f"; {word}: {', '.join(names)}" for word, names in asking.items() if names)
    watched = f"{plural(number, 'resource')} watched"
    return Summary("No switchover was made.", f"{watched}{told or ', none asked to move'}.")


def _verdict(row: ResourceFacts) -> str:
    return str(row.decisions[0]["verdict"]) if row.decisions else ""


def _undone(facts: Facts) -> str:
    back = sum(
        move.outcome is Outcome.ROLLED_BACK for row in facts.resources for move in row.switchovers
    )
    return f"{back} rolled back" if back else "none rolled back"


def _lead_key(row: ResourceFacts, lead: float | None) -> Key | None:
    if lead is None:
        return None
    rate = row.spec.metrics.clock.rate
    real = f"in a replay: {span(abs(lead) / rate)} of wall time" if rate != 1 else ""
    name = "Lead before the breach" if lead > 0 else "Late after the breach"
    return Key(name, span(abs(lead)), real, lead > 0)


def _client_keys(clients: Clients | None) -> list[Key]:
    if clients is None or OURS not in clients.runs:
        return []
    ours = clients.runs[OURS]
    other = next((run for name, run in clients.runs.items() if name != OURS), None)
    lost = "" if other is None else f"without: {count(other.failed)}"
    keys = [Key("Failed requests", f"{count(ours.failed)} of {count(ours.requests)}", lost,
                ours.failed == 0)]  # fmt: skip
    if ours.worst_p99 is not None:
        slow = "" if other is None else f"without: {span(other.worst_p99)}"
        keys.append(Key("Worst p99 that clients saw", span(ours.worst_p99), slow))
    return keys


def _age_key(row: ResourceFacts, move: Switchover) -> Key | None:
    if move.rpo_seconds is None:
        return None
    limit = row.spec.sync.max_staleness
    return Key("Age of the state at the switch", span(move.rpo_seconds), f"limit: {span(limit)}",
               move.rpo_seconds <= limit)  # fmt: skip
