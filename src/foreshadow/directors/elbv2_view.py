"""What a listener or a rule shows of a resource's traffic, told in hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foreshadow.directors.weights import percentages
from foreshadow.domain.errors import DirectorError
from foreshadow.domain.spec import DirectorSpec

Action = dict[str, Any]


@dataclass(frozen=True)
class Forward:
    """The actions of a listener or a rule, one of which forwards by weights.

    :ivar spec: the director's; it maps hosts to target groups, by name or by ARN.
    :ivar actions: as AWS shows them.
    """

    spec: DirectorSpec
    actions: Sequence[Action]

    def groups(self) -> dict[str, str]:
        """Return the ARN of each host's target group."""
        return {self._host(arn): arn for arn in self._shares()}

    def weights(self) -> dict[str, int]:
        """Return where new requests go, as percentages by host; who gets none is absent."""
        return percentages(self.told())

    def told(self) -> dict[str, int]:
        """Return the weight of each host, as it stands there."""
        return {self._host(arn): weight for arn, weight in self._shares().items()}

    def drift(self) -> str:
        """Return what of it would not let traffic follow the weights; empty when nothing."""
        stickiness = self._forward().get("TargetGroupStickinessConfig") or {}
        if stickiness.get("Enabled"):
            return (
                "stickiness between target groups is on, so that clients stay with the old one "
                "whatever the weights are"
            )
        return ""

    def with_weights(self, weights: Mapping[str, int]) -> list[Action]:
        """Return the actions with other weights and nothing else changed, as AWS takes them."""
        shares = [
            {"TargetGroupArn": arn, "Weight": weights.get(self._host(arn), 0)}
            for arn in self._shares()
        ]
        changed = []
        for action in self.actions:
            if action is self._action():
                rest = {k: v for k, v in action.items() if k != "TargetGroupArn"}
                action = {**rest, "ForwardConfig": {**self._forward(), "TargetGroups": shares}}
            elif "AuthenticateOidcConfig" in action:  # its secret is never shown
                oidc = {**action["AuthenticateOidcConfig"], "UseExistingClientSecret": True}
                action = {**action, "AuthenticateOidcConfig": oidc}
            changed.append(action)
        return changed

    def _action(self) -> Action:
        found = [action for action in self.actions if action.get("Type") == "forward"]
        if not found:
            raise DirectorError(
                "its action does not forward to target groups",
                remedy="let it forward to a target group for each host",
            )
        return found[-1]

    def _forward(self) -> dict[str, Any]:
        action = self._action()
        alone = [{"TargetGroupArn": action.get("TargetGroupArn"), "Weight": 1}]
        found: dict[str, Any] = action.get("ForwardConfig") or {"TargetGroups": alone}
        return found

    def _shares(self) -> dict[str, int]:
        groups = self._forward().get("TargetGroups", [])
        return {entry["TargetGroupArn"]: int(entry.get("Weight", 1)) for entry in groups}

    def _host(self, arn: str) -> str:
        """Return the host of a target group, which is known by its ARN or by its name in that."""
        name = arn.rpartition(":")[2].split("/")[1]
        targets = self.spec.targets.items()
        return next((host for host, target in targets if target in (arn, name)), name)
