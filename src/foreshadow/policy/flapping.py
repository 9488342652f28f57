"""A resource that goes back and forth: neither place is right, and a person has to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from foreshadow.domain.clock import WallTime


@dataclass(frozen=True, slots=True)
class Moved:
    """One move that was made, and when it ended."""

    source: str
    destination: str
    at: WallTime


def flapped(moves: Sequence[Moved], window: float, acknowledged: WallTime | None) -> bool:
    """Return whether two moves back lie within a window, since a person has looked last.

    A move back goes to where the move before it came from.

    :param moves: in any order; drills are not among them.
    """
    ordered = sorted(moves, key=lambda move: move.at)
    back = [
        later.at
        for earlier, later in pairwise(ordered)
        if (later.source, later.destination) == (earlier.destination, earlier.source)
        and (acknowledged is None or later.at > acknowledged)
    ]
    return any(second - first <= window for first, second in pairwise(back))
