"""Where shadows should stand: every host ranked with its reasons, and a fleet assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.clock import isoformat
from foreshadow.domain.decision import Ranked, Rejection
from foreshadow.domain.errors import SpecError
from foreshadow.domain.fleet import Role
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.fleet import fresh_round_trips, read_fleet
from foreshadow.operations.peaks import recent_peaks
from foreshadow.placement.assignment import Assignment, assign
from foreshadow.placement.fleet import Amounts, Fleet
from foreshadow.placement.ranking import order, rank
from foreshadow.placement.weights import Weights, resolve

PLACES = 2
"""Decimal places to which recorded weights are compared: smaller moves are no change."""


def rank_resources(
    context: Context,
    specs: Sequence[ResourceSpec],
    *,
    weights: Mapping[str, float] | None = None,
    peaks: Mapping[str, Amounts],
) -> dict[str, tuple[Ranked, ...]]:
    """Return every host for each resource, the best first, those that are ruled out last.

    :param weights: for this call; else those pinned by a person, else learned, else written.
    :param peaks: by resource and kind, the demand to plan for in absolute units. For registered
        resources that are not in it, what they needed lately is taken.
    :raises SpecError: when a weight is unknown or no weight is left.
    """
    named = {spec.name for spec in specs}
    others = [spec for spec in context.ledger.resources() if spec.name not in peaks]
    fleet = read_fleet(context, named, {**recent_peaks(context, others).amounts, **peaks})
    return {spec.name: rank(fleet, spec, weights_of(context, spec, weights)) for spec in specs}


def weights_of(
    context: Context, spec: ResourceSpec, asked: Mapping[str, float] | None = None
) -> Weights:
    """Return the weights that count for a resource: asked for, pinned, learned, written.

    :raises SpecError: when a weight is unknown or no weight is left.
    """
    return resolve(
        spec.placement.weights,
        learned=context.ledger.learned_weights(spec.name),
        pinned=context.ledger.control().pinned_weights(spec.name),
        asked=asked,
    )


def place(
    context: Context,
    resources: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    top: int | None = None,
    record: bool = False,
) -> Change:
    """Rank the hosts of resources, and say which of them should hold their shadows.

    The change is to what the ledger keeps, and there is one only with ``record`` and when the
    chosen hosts or the weights are others than before; scores that moved a little are none.
    Distances that had to be measured are kept in any case, and are no change.

    The result has ``rankings`` ({resource: rows as :meth:`Ranked.plain`}), ``assignment``
    ({resource: hosts, the next home first}), ``weights`` ({resource: by term}) and ``notes``
    ({resource: sentences}: shadows that are missing, and what could not be looked at).

    :param resources: names; ``None`` or empty means all.
    :param top: how many hosts to return for each resource; all of them take part.
    :raises UnknownNameError: when a resource is not registered.
    :raises SpecError: when a weight is unknown, no weight is left, or ``top`` is less than 1.
    """
    if top is not None and top < 1:
        raise SpecError(f"top {top} is less than 1", where="placement", remedy="ask for 1 or more")
    specs = context.ledger.resources(resources or None)
    used = {spec.name: weights_of(context, spec, weights) for spec in specs}
    trips = fresh_round_trips(context, specs)
    recent = recent_peaks(context, context.ledger.resources())
    fleet = read_fleet(context, [spec.name for spec in specs], recent.amounts, trips)
    rankings = {spec.name: rank(fleet, spec, used[spec.name]) for spec in specs}
    before = {spec.name: context.ledger.placement(spec.name) for spec in specs}
    chosen = assign(fleet, rankings, _holding(fleet, rankings, before))
    bodies: dict[str, dict[str, Any]] = {
        name: {
            "hosts": list(chosen.hosts[name]),
            "weights": used[name],
            "ranking": [row.plain() for row in _explained(rows, chosen, name)],
            "short": chosen.short.get(name),
            "at": isoformat(context.now()),
        }
        for name, rows in rankings.items()
    }
    result = {
        "rankings": {name: body["ranking"][:top] for name, body in bodies.items()},
        "assignment": {name: body["hosts"] for name, body in bodies.items()},
        "weights": used,
        "notes": _notes(rankings, chosen, recent.unknown),
    }
    old = {name: _kept(body) for name, body in before.items() if record and body is not None}
    new = {name: _kept(body) for name, body in bodies.items() if record}
    measured_at = context.now()

    def keep() -> Mapping[str, Any]:
        if trips:
            context.ledger.put_round_trips(trips, measured_at)
        for name in new:
            if old.get(name) != new[name]:
                context.ledger.put_placement(name, bodies[name])
        return result

    return Change(old, new, result, perform=keep, upkeep=keep)


def _kept(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes two placements the same: the chosen hosts and the weights."""
    weights = {term: round(weight, PLACES) for term, weight in body["weights"].items()}
    return {"hosts": list(body["hosts"]), "weights": weights}


def _holding(
    fleet: Fleet,
    rankings: Mapping[str, Sequence[Ranked]],
    recorded: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, frozenset[str]]:
    """Return where each resource has shadows now, or will have by the last placement."""
    return {
        name: frozenset(
            [i.host for i in fleet.instances if i.resource == name and i.role is Role.SHADOW]
            + list((recorded[name] or {}).get("hosts", ()))
        )
        for name in rankings
    }


def _explained(rows: Sequence[Ranked], chosen: Assignment, name: str) -> list[Ranked]:
    """Return the ranking with what the assignment passed over marked as such."""
    passed: Mapping[str, Rejection] = chosen.passed_over.get(name, {})
    marked = (
        Ranked(row.host, row.score, row.terms, row.rejected or passed.get(row.host)) for row in rows
    )
    return sorted(marked, key=order)


def _notes(
    rankings: Mapping[str, Sequence[Ranked]], chosen: Assignment, unknown: Mapping[str, str]
) -> dict[str, list[str]]:
    notes = {name: [chosen.short[name]] if name in chosen.short else [] for name in rankings}
    for name, reason in unknown.items():
        if name in notes:
            notes[name].append(f"{reason}; its capacity was not looked at")
    return {name: lines for name, lines in notes.items() if lines}
