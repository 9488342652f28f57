"""One target of one target group: registered, checked, drained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from foreshadow.cloud.aws import Aws
from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import DirectorError, SpecError
from foreshadow.domain.units import format_duration

_ELBV2 = "elbv2"
_HEALTHY, _DRAINING, _UNUSED = "healthy", "draining", "unused"
_GONE = (_UNUSED, _DRAINING)
_FIRST_LOOK = 1 / 8
"""The share of ``poll`` after which a target is looked at again: what nobody has a request open at
leaves at once."""


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A host's target group and its target in it.

    :ivar target: an instance id or an address; empty when nobody can say.
    """

    aws: Aws
    arn: str
    host: str
    target: str
    where: str
    poll: float
    now: WallClock
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]

    def healthy(self) -> bool:
        """Return whether the target passes its checks."""
        return self._state()[0] == _HEALTHY

    def draining(self) -> bool:
        """Return whether requests may still be open at a target that was deregistered."""
        return self._state()[0] == _DRAINING

    def refuse_unhealthy(self) -> None:
        """Refuse to send traffic to a target that is not healthy.

        A load balancer without a healthy target sends to all of them, or fails each request.

        :raises DirectorError: when it is not.
        """
        state, reason = self._state()
        if state != _HEALTHY:
            raise DirectorError(
                f"{self.host} cannot take traffic: its target is {state}{reason}",
                where=self.where,
                remedy="admit it first, when the service there is well",
            )

    def enter(self, since: WallTime, timeout: float) -> None:
        """Register the target anew and wait until it has passed a check that began after that.

        :raises DirectorError: when it has not, in time.
        """
        deadline = self.monotonic() + timeout
        if self._state()[0] not in _GONE:
            self._deregister()
        self._register()
        fresh, pauses = False, self._pauses()
        while True:
            state, reason = self._state()
            if state == _HEALTHY and (fresh or self._outlasts_old_checks(since)):
                return
            # Only from a target that was once seen without a passed check is a passed one new.
            fresh = fresh or state != _HEALTHY
            if self.monotonic() > deadline:
                raise DirectorError(
                    f"{self.host} passed no check within {format_duration(timeout)}: its target "
                    f"is {state}{reason}",
                    where=self.where,
                    remedy="see that the service answers the target group's health check, and "
                    "that its security group lets the load balancer in",
                )
            self.sleep(next(pauses))

    def leave(self, timeout: float) -> None:
        """Deregister the target and wait until it has drained.

        :raises DirectorError: when it still drains at the deadline.
        """
        deadline = self.monotonic() + timeout
        pauses = self._pauses()
        state, _ = self._state()
        if state not in _GONE:
            self._deregister()
            state, _ = self._state()
        while state != _UNUSED:
            if self.monotonic() > deadline:
                raise DirectorError(
                    f"the target of {self.host} still drains after {format_duration(timeout)}",
                    where=self.where,
                    remedy="look at what does not end, or lower the deregistration delay",
                )
            self.sleep(next(pauses))
            state, _ = self._state()

    def _pauses(self) -> Iterator[float]:
        """Give the seconds to each further look, ever more, up to ``poll``."""
        pause = self.poll * _FIRST_LOOK
        while True:
            yield pause
            pause = min(2 * pause, self.poll)

    def _outlasts_old_checks(self, since: WallTime) -> bool:
        """Return whether a target that had passed its last check before ``since`` would show it."""
        reply = self.aws.read(_ELBV2, "DescribeTargetGroups", TargetGroupArns=[self.arn])
        group = reply["TargetGroups"][0]
        seconds = group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"]
        seen_ill_after = float(seconds + group["HealthCheckTimeoutSeconds"])
        return self.now() - since > seen_ill_after

    def _state(self) -> tuple[str, str]:
        """Return the state of the target, and why it is so."""
        if not self.target:
            return _UNUSED, ""
        reply = self.aws.read(
            _ELBV2, "DescribeTargetHealth", TargetGroupArn=self.arn, Targets=[self._described()]
        )
        for entry in reply["TargetHealthDescriptions"]:
            if entry["Target"]["Id"] == self.target:
                health = entry["TargetHealth"]
                reason = health.get("Description") or health.get("Reason")
                return health["State"], f" ({reason})" if reason else ""
        return _UNUSED, ""

    def _register(self) -> None:
        self.aws.write(
            _ELBV2, "RegisterTargets", lambda: self._state()[0] not in _GONE,
            TargetGroupArn=self.arn, Targets=[self._described()],
        )  # fmt: skip

    def _deregister(self) -> None:
        self.aws.write(
            _ELBV2, "DeregisterTargets", lambda: self._state()[0] in _GONE,
            TargetGroupArn=self.arn, Targets=[self._described()],
        )  # fmt: skip

    def _described(self) -> dict[str, Any]:
        if not self.target:
            raise SpecError(
                f"nobody says what to register for {self.host}",
                where=self.where,
                remedy="register the host, or set target_ids",
            )
        return {"Id": self.target}
