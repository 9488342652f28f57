"""Targets of a load balancer as AWS has them: checked, sometimes unwell, and slow to drain."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.aws.calls import Call
from tests.support.aws.server import Answer, Forward, RefusedCall

_GROUP = re.compile(r"TargetGroups\.member\.(\d+)\.(TargetGroupArn|Weight)$")
_XMLNS = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
_PORT = "8080"


@dataclass
class _Target:
    registered_at: float
    left_at: float | None = None


@dataclass
class Targets:
    """The truth about targets.

    :ivar initial: seconds until a registered target has passed its first check.
    :ivar notice: seconds until a target that falls ill is seen to be.
    :ivar drain: seconds that draining takes at least; with an open request, until it ends.
    :ivar open: by target, requests that are open.
    :ivar weights: by listener that was modified, the weights of its target groups.
    :ivar now: the clock that all of this goes by.
    """

    initial: float = 0.1
    notice: float = 5.0
    drain: float = 0.1
    open: Counter[str] = field(default_factory=Counter)
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    _unwell: dict[str, float] = field(default_factory=dict)
    _targets: dict[tuple[str, str], _Target] = field(default_factory=dict)

    def answer(self, call: Call, forward: Forward) -> Answer | None:
        """Answer what is about targets, and refuse weights that AWS would refuse."""
        if call.service != "elasticloadbalancing":
            return None
        group = call.form.get("TargetGroupArn", "")
        match call.action:
            case "RegisterTargets":
                return self._register(group, call, forward)
            case "DeregisterTargets":
                return self._deregister(group, call, forward)
            case "DescribeTargetHealth":
                return self._describe(group, call)
            case "ModifyListener" | "ModifyRule" | "CreateListener" | "CreateRule":
                return self._forwarding(call, forward)
        return None

    def forget(self) -> None:
        """Know of no target any more."""
        self._targets.clear()
        self._unwell.clear()
        self.open.clear()

    @contextmanager
    def unwell(self, target: str) -> Iterator[None]:
        """Let a target fail its checks until the end of the block."""
        self._unwell[target] = self.now()
        try:
            yield
        finally:
            del self._unwell[target]

    def state(self, group: str, target: str) -> str:
        """Return what AWS shows of a target."""
        known = self._targets.get((group, target))
        if known is None:
            return "unused"
        now = self.now()
        if known.left_at is not None:
            if self.open[target] or now - known.left_at < self.drain:
                return "draining"
            del self._targets[group, target]
            return "unused"
        passed_at = known.registered_at + self.initial
        ill_since = self._unwell.get(target)
        if ill_since is not None and (ill_since < passed_at or now >= ill_since + self.notice):
            return "unhealthy"
        return "healthy" if now >= passed_at else "initial"

    def _forwarding(self, call: Call, forward: Forward) -> Answer:
        weights = _weights(call)
        answer = forward()
        if answer[0] == 200 and "ListenerArn" in call.form:
            self.weights[call.form["ListenerArn"]] = weights
        return answer

    def _register(self, group: str, call: Call, forward: Forward) -> Answer:
        answer = forward()
        for target in _ids(call):
            known = self._targets.get((group, target))
            if known is None or known.left_at is not None:
                self._targets[group, target] = _Target(self.now())
        return answer

    def _deregister(self, group: str, call: Call, forward: Forward) -> Answer:
        for target in _ids(call):
            if self.state(group, target) in ("unused", "draining"):
                raise RefusedCall("InvalidTarget", f"{target} is not registered")
            self._targets[group, target].left_at = self.now()
        return forward()

    def _describe(self, group: str, call: Call) -> Answer:
        asked = _ids(call) or [target for arn, target in self._targets if arn == group]
        shown = [(target, self.state(group, target)) for target in asked]
        if not _ids(call):
            shown = [(target, state) for target, state in shown if state != "unused"]
        members = "".join(
            f"<member><Target><Id>{target}</Id><Port>{_PORT}</Port></Target>"
            f"<TargetHealth><State>{state}</State></TargetHealth></member>"
            for target, state in shown
        )
        text = (
            f'<DescribeTargetHealthResponse xmlns="{_XMLNS}"><DescribeTargetHealthResult>'
            f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>"
            "</DescribeTargetHealthResult></DescribeTargetHealthResponse>"
        )
        return 200, "text/xml", text.encode()


def _ids(call: Call) -> list[str]:
    id_key = re.compile(r"^Targets\.member\.\d+\.Id$")
    return [value for key, value in call.form.items() if id_key.match(key)]


def _weights(call: Call) -> dict[str, int]:
    """Return the weight of each target group in a call.

    :raises RefusedCall: when AWS would refuse it.
    """
    entries: dict[str, dict[str, str]] = {}
    for key, value in call.form.items():
        if found := _GROUP.search(key):
            entries.setdefault(found.group(1), {})[found.group(2)] = value
    weights = {one["TargetGroupArn"]: int(one.get("Weight", 1)) for one in entries.values()}
    if any(not 0 <= weight <= 999 for weight in weights.values()):
        raise RefusedCall("ValidationError", "a weight must be between 0 and 999")
    if len(weights) > 5:
        raise RefusedCall("TooManyTargetGroups", "a forward action takes five target groups")
    return weights
