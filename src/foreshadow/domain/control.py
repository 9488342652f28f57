"""What a person has decided: pauses, approvals, what was looked at, and pinned weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from foreshadow.domain.clock import WallTime, isoformat

EVERY = "*"
"""Stands for all resources; no resource can have this name."""

_NEVER = WallTime(0.0)


class ControlState(StrEnum):
    """What a person may ask for."""

    PAUSED = "paused"
    RESUMED = "resumed"
    APPROVED = "approved"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    PINNED = "pinned"


@dataclass(frozen=True, slots=True)
class Control:
    """The decisions of persons that are in force.

    :ivar paused: nothing is switched by itself, whatever the resource.
    :ivar paused_resources: the same for these resources; a global resume leaves them paused.
    :ivar approved: ids of the plans that may be applied in ``policy.mode: manual``.
    :ivar acknowledged: by resource, until when (wall time) a person has looked at what happened;
        failures and flapping before that time no longer stand against a switch.
    :ivar pinned: affinity weights by resource that learning does not move; :data:`EVERY` is the
        key of those for all resources.
    :ivar at: wall time of the last change.
    """

    paused: bool = False
    paused_resources: frozenset[str] = frozenset()
    approved: frozenset[str] = frozenset()
    acknowledged: Mapping[str, WallTime] = field(default_factory=dict)
    pinned: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    at: WallTime = _NEVER

    def is_paused(self, resource: str) -> bool:
        """Return whether a person has paused this resource, or everything."""
        return self.paused or resource in self.paused_resources

    def pause_of(self, resource: str) -> str:
        """Return what a person has paused that this resource is part of, in words, or nothing."""
        if self.paused:
            return "a person has paused all switching; resume it with control"
        if resource in self.paused_resources:
            return f"a person has paused the switching of {resource}; resume it with control"
        return ""

    def pinned_weights(self, resource: str) -> Mapping[str, float] | None:
        """Return the weights that a person has pinned for the resource, or for all."""
        return self.pinned.get(resource, self.pinned.get(EVERY))

    def pause(self, resource: str | None) -> Control:
        """Return this with the resource, or everything, paused."""
        if resource is None:
            return replace(self, paused=True)
        return replace(self, paused_resources=self.paused_resources | {resource})

    def resume(self, resource: str | None) -> Control:
        """Return this with the resource's own pause, or the global one, lifted."""
        if resource is None:
            return replace(self, paused=False)
        return replace(self, paused_resources=self.paused_resources - {resource})

    def approve(self, plan_id: str) -> Control:
        """Return this with a plan approved."""
        return replace(self, approved=self.approved | {plan_id})

    def acknowledge(self, resource: str, at: WallTime) -> Control:
        """Return this with what happened to a resource until ``at`` looked at."""
        return replace(self, acknowledged={**self.acknowledged, resource: at})

    def pin(self, resource: str | None, weights: Mapping[str, float]) -> Control:
        """Return this with the weights of the resource, or of all, pinned."""
        return replace(self, pinned={**self.pinned, resource or EVERY: dict(weights)})

    def unpin(self, resource: str | None) -> Control:
        """Return this without the resource's pinned weights, or without any."""
        if resource is None:
            return replace(self, pinned={})
        kept = {name: weights for name, weights in self.pinned.items() if name != resource}
        return replace(self, pinned=kept)

    def plain(self) -> dict[str, Any]:
        """Return the decisions as JSON types, without the time of the last change."""
        return {
            "paused": self.paused,
            "paused_resources": sorted(self.paused_resources),
            "approved": sorted(self.approved),
            "acknowledged": {name: isoformat(at) for name, at in sorted(self.acknowledged.items())},
            "pinned": {name: dict(weights) for name, weights in sorted(self.pinned.items())},
        }
