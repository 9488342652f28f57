"""What the report tells about, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.control import Control
from foreshadow.domain.fleet import Acknowledged, Instance
from foreshadow.domain.moves import Switchover
from foreshadow.domain.outcomes import Observed
from foreshadow.domain.spec import ResourceSpec
from foreshadow.report.clients import Clients

Points = tuple[tuple[MetricTime, float], ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What one decision saw of one metric, and where it expected it to go.

    :ivar at: metric time of the decision; ``seen`` ends about there, the forecast begins.
    :ivar seen: measured values in base units (ratio, seconds), oldest first, gaps left out.
    :ivar expected: the forecast's middle; ``lower`` and ``upper`` bound its 80 % interval.
    """

    metric: str
    unit: Literal["ratio", "seconds"]
    at: MetricTime
    seen: Points
    expected: Points
    lower: Points = ()
    upper: Points = ()
    threshold: float | None = None
    breach_at: MetricTime | None = None


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """One resource as the ledger has it.

    :ivar decisions: as :meth:`Decision.plain` gives them, the newest first.
    :ivar switchovers: the newest first.
    :ivar outcomes: the newest first.
    :ivar placement: what was recorded of the last placement: ``hosts``, ``weights``, ``ranking``.
    :ivar told_decision: the decision behind :attr:`told_move`, else the newest one.
    :ivar trajectories: what that decision saw.
    """

    spec: ResourceSpec
    primary: str
    instances: tuple[Instance, ...] = ()
    decisions: tuple[Mapping[str, Any], ...] = ()
    switchovers: tuple[Switchover, ...] = ()
    acknowledgements: Mapping[str, Acknowledged] = field(default_factory=dict)
    outcomes: tuple[Observed, ...] = ()
    placement: Mapping[str, Any] | None = None
    told_decision: Mapping[str, Any] | None = None
    trajectories: tuple[Trajectory, ...] = ()

    @property
    def told_move(self) -> Switchover | None:
        """Return the switchover to tell about: the newest one that a decision asked for, if any.

        One that a person made by hand afterwards, such as the way back, does not hide it; when none
        was asked for, it is the newest of all.
        """
        moves = [move for move in self.switchovers if move.pivoted]
        return next(
            (move for move in moves if move.decision_id is not None), next(iter(moves), None)
        )

    def outcome(self, switchover_id: str) -> Observed | None:
        """Return what was observed after a switchover."""
        return next((row for row in self.outcomes if row.switchover_id == switchover_id), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything on the page.

    :ivar generated: the wall time of the page, and of the ages on it.
    :ivar version: of Foreshadow.
    :ivar control: what persons have decided.
    """

    generated: WallTime
    version: str
    resources: tuple[ResourceFacts, ...] = ()
    clients: Clients | None = None
    control: Control = field(default_factory=Control)

    @property
    def paused(self) -> str:
        """Return what a person has paused, in words, or nothing."""
        if self.control.paused:
            return "All switching is paused."
        names = sorted(self.control.paused_resources & {row.spec.name for row in self.resources})
        return f"Paused: {', '.join(names)}." if names else ""
