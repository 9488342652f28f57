"""Drills, as the ledger tells them: a move that was made to prove the way, and the way back."""

from __future__ import annotations

from foreshadow.domain.clock import WallTime
from foreshadow.domain.moves import Switchover
from foreshadow.ledger import Ledger


def away(ledger: Ledger, resource: str) -> Switchover | None:
    """Return the drill that has not come home."""
    return _read(ledger, resource)[0]


def drilled_at(ledger: Ledger, resource: str, destination: str) -> WallTime | None:
    """Return when the last drill to a destination came home."""
    return _read(ledger, resource)[1].get(destination)


def _read(ledger: Ledger, resource: str) -> tuple[Switchover | None, dict[str, WallTime]]:
    """Follow the moves that were made, the oldest first.

    Both ways of a drill are marked as one; the outcome does not tell them apart, for a recovery
    may have finished either.
    """
    out: Switchover | None = None
    homes: dict[str, WallTime] = {}
    for move in reversed([one for one in ledger.switchovers(resource, steps=False) if one.pivoted]):
        if not move.plan.drill:
            out = None
        elif out is None or move.destination != out.source:
            out = move
        else:
            if move.ended_at is not None:
                homes[out.destination] = move.ended_at
            out = None
    return out, homes
