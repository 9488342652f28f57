"""What the page shows of one resource, worked out for the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreshadow.domain.moves import Switchover
from foreshadow.domain.outcomes import Observed
from foreshadow.report import plots
from foreshadow.report.clients import OURS
from foreshadow.report.facts import Facts, ResourceFacts, Trajectory
from foreshadow.report.summary import moved_at
from foreshadow.report.words import plural, span

TERMS = ("load_similarity", "network_proximity", "availability")
RECENT = 12
"""How many decisions and switchovers are listed."""

LEAST_SEEN = 3
"""How many samples make a curve."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and the words around it.

    :ivar caption: what to see in it, one sentence.
    """

    title: str
    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the state of one shadow is.

    :ivar share: of the limit, at most 1; ``None`` when it was never acknowledged.
    """

    host: str
    version: int | None
    captured_at: float | None
    age: float | None
    share: float | None
    late: bool


@dataclass(frozen=True, slots=True)
class Section:
    """One resource on the page."""

    key: str
    name: str
    primary: str
    about: str
    verdict: str
    reasons: tuple[str, ...]
    figures: tuple[Figure, ...]
    move: Switchover | None
    moves: tuple[Switchover, ...]
    placement: Mapping[str, Any] | None
    terms: tuple[str, ...]
    freshness: tuple[Freshness, ...]
    limit: float
    outcomes: tuple[Observed, ...]
    decisions: tuple[Mapping[str, Any], ...]


def section(row: ResourceFacts, facts: Facts, key: str) -> Section:
    """Return what the page shows of one resource.

    :param key: unique on the page.
    """
    spec = row.spec
    newest = row.decisions[0] if row.decisions else None
    shown = row.told_decision
    return Section(
        key=key,
        name=spec.name,
        primary=row.primary,
        about=f"{plural(spec.shadows.count, f'{spec.shadows.mode.value} shadow')}, "
        f"policy {spec.policy.mode.value.replace('_', ' ')}",
        verdict=str(newest["verdict"]) if newest else "",
        reasons=_reasons(shown),
        figures=tuple(_figures(row, facts, key)),
        move=row.told_move,
        moves=row.switchovers[:RECENT],
        placement=row.placement,
        terms=TERMS,
        freshness=tuple(_freshness(row, facts)),
        limit=spec.sync.max_staleness,
        outcomes=row.outcomes[:RECENT],
        decisions=row.decisions[:RECENT],
    )


def _figures(row: ResourceFacts, facts: Facts, key: str) -> list[Figure]:
    found = []
    when = moved_at(row, row.told_move)
    drawn = [each for each in row.trajectories if len(each.seen) >= LEAST_SEEN]
    for number, trajectory in enumerate(drawn):
        found.append(
            Figure(
                trajectory.metric.capitalize()
                + (" and its forecast" if trajectory.expected else ""),
                _forecast_caption(trajectory),
                plots.forecast(trajectory, when, f"{key}-forecast{number}"),
            )
        )
    clients = facts.clients
    mine = clients is not None and clients.resource == row.spec.name
    if clients is not None and mine and any(run.intervals for run in clients.runs.values()):
        found.append(
            Figure(
                "Latency as clients saw it",
                f"The slowest hundredth of the requests in each {span(clients.step)}, by metric "
                "time. A cross marks an interval in which requests failed.",
                plots.latency(clients, when, row.spec.triggers.latency, f"{key}-latency"),
            )
        )
    if row.told_move is not None and row.told_move.steps:
        found.append(
            Figure(
                f"The switchover from {row.told_move.source} to {row.told_move.destination}",
                "Each step as the journal has it, in wall time since the start.",
                plots.timeline(row.told_move, f"{key}-steps"),
            )
        )
    if clients is not None and mine and OURS in clients.runs and clients.runs[OURS].staleness:
        found.append(
            Figure(
                "Age of the shadows' state",
                "How much would have been lost had a shadow taken over at that moment.",
                plots.staleness(clients, row.spec.sync.max_staleness, f"{key}-staleness"),
            )
        )
    return found


def _reasons(decision: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return why it was decided so, and how far the forecast had proved itself."""
    if decision is None:
        return ()
    gate = (decision.get("gate") or {}).get("reason", "")
    return tuple(dict.fromkeys([*decision["reasons"], *([gate] if gate else [])]))


def _forecast_caption(trajectory: Trajectory) -> str:
    if not trajectory.expected:
        return "As it was measured; there was no forecast of it."
    band = "The band holds 80 % of what is expected."
    if trajectory.breach_at is None:
        return band
    ahead = span(trajectory.breach_at - trajectory.at)
    return f"When the decision fell, the breach was {ahead} ahead. {band}"


def _freshness(row: ResourceFacts, facts: Facts) -> list[Freshness]:
    found = []
    limit = row.spec.sync.max_staleness
    shadows = {instance.host for instance in row.instances if instance.host != row.primary}
    for host in sorted(shadows):
        known = row.acknowledgements.get(host)
        age = None if known is None else max(0.0, facts.generated - known.captured_at)
        found.append(
            Freshness(
                host,
                None if known is None else known.version,
                None if known is None else known.captured_at,
                age,
                None if age is None else min(1.0, age / limit),
                age is None or age > limit,
            )
        )
    return found
