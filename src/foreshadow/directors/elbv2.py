"""An application load balancer of AWS as a director: it owns the weights, and who is registered.

A host is a target group. One with traffic has a weight; one that was admitted is registered with
weight 0; one that may be frozen is not registered, so that nothing checks it. AWS changes all
weights of a forward action at once, so nobody is without traffic in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from foreshadow.cloud.aws import Aws
from foreshadow.directors.elbv2_claim import Claim, claimed
from foreshadow.directors.elbv2_options import parse_options
from foreshadow.directors.elbv2_targets import TargetGroup
from foreshadow.directors.elbv2_view import Action, Forward
from foreshadow.directors.lazily import Lazily
from foreshadow.directors.weights import checked_weights, shown
from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import DirectorError, UnknownNameError
from foreshadow.domain.near import unknown
from foreshadow.domain.protocols import Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time

_ELBV2 = "elbv2"
_TAG = "foreshadow:{resource}"
_FRESH_SECONDS = 5.0
"""For so long a target that was just seen healthy is not asked again: AWS checks no more often."""


class Elbv2Director:
    """Sends a resource's traffic by the weights of a listener's, or a rule's, forward action.

    The fencing token, and where traffic went before its owner touched it, stand in a tag of the
    listener or rule. AWS has no compare-and-set for those: the tag stops who comes late, and the
    ledger's lease sees to it that there are not two at a time.

    :param resource: whose traffic it is; fencing tokens count per resource.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self,
        spec: DirectorSpec,
        resource: str,
        access: Access,
        *,
        now: WallClock = system_time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec = spec
        self._resource = resource
        self._access = access
        self._options = parse_options(spec, resource)
        self._where = f"resource {resource}, {self._kind()} {self._name()}"
        self._aws = Aws(self._options.aws(), self._where, sleep=sleep)
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._well_until: dict[str, float] = {}
        self._followed_at: dict[str, float] = {}
        self._draining: dict[str, float] = {}
        self._groups: dict[str, str] = {}

    def read(self) -> tuple[Endpoint, ...]:
        """Return where traffic goes now; health is asked for when somebody looks at it."""
        forward = self._forward()
        return (
            Endpoint(
                name=self._name(),
                weights=self._told(forward.weights),
                checked=self._checked(forward),
                in_flight={},
                drift=forward.drift(),
            ),
        )

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Register a host's target and wait until it has passed a check of the load balancer.

        A target that is registered already is registered anew: from there on AWS shows no passed
        check until one has ended, so the one that is waited for is newer than ``since``. A host
        that has traffic is left alone.

        :raises UnknownNameError: when no target group of the forward action is the host's.
        :raises DirectorError: when it passes no check in time, with what was last seen.
        """
        forward = self._forward()
        arn = self._required_group(forward, host)
        self._claim(forward, token)
        if not forward.told()[host]:
            self._group(arn, host).enter(since, self._options.admit_timeout)
            self._well_until[host] = self._monotonic() + _FRESH_SECONDS

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Send traffic by percentages, all of it in one request.

        :raises UnreachableError: when AWS did not answer; it says so when the state is unknown.
        :raises DirectorError: when nothing was changed because a host's target is not healthy; or
            when AWS shows something else than it was told.
        """
        wanted = checked_weights(weights)
        forward = self._forward()
        for host in wanted:
            self._required_group(forward, host)
        before = forward.told()
        claim = self._fence(token)
        if forward.weights() == wanted:
            return
        for host in wanted:
            if not before[host] and self._well_until.get(host, 0.0) < self._monotonic():
                self._group(forward.groups()[host], host).refuse_unhealthy()
        self._put_claim(claim, forward, token)
        after = self._set(forward, wanted)
        if after.weights() != wanted:
            raise DirectorError(
                f"shows {shown(after.weights())}, told {shown(wanted)}",
                where=self._where,
                remedy="look for somebody else who changes weights",
            )
        left = self._monotonic() + self._options.settle
        self._followed_at |= {host: left for host in before if before[host] and host not in wanted}

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether the forward action shows these weights."""
        wanted = checked_weights(weights)
        return self._forward().weights() == wanted

    def drained(self, host: str) -> bool:
        """Return whether no target of the host drains, and every node knows that it has left.

        AWS does not tell the requests that are open at a registered target: the service does.
        """
        now = self._monotonic()
        if now < max(self._followed_at.get(host, 0.0), self._draining.get(host, 0.0)):
            return False
        arn = self._groups.get(host) or self._required_group(self._forward(), host)
        if self._group(arn, host).draining():
            self._draining[host] = now + self._options.poll
            return False
        return True

    def retire(self, host: str, token: int) -> None:
        """Deregister a host without traffic, and wait until its target has drained.

        :raises DirectorError: when it has traffic, and nothing was changed; or when it still
            drains at the deadline.
        """
        forward = self._forward()
        arn = self._required_group(forward, host)
        if forward.told()[host]:
            raise DirectorError(
                f"{host} still has traffic",
                where=self._where,
                remedy="send its traffic elsewhere first",
            )
        self._claim(forward, token)
        self._group(arn, host).leave(self._options.drain_timeout)

    def persist(self) -> None:
        """Do nothing: what AWS was told, it keeps."""

    def _forward(self) -> Forward:
        if self._options.listener:
            reply = self._aws.read(_ELBV2, "DescribeListeners", ListenerArns=[self._options.arn])
            return self._shown(reply["Listeners"], "DefaultActions")
        reply = self._aws.read(_ELBV2, "DescribeRules", RuleArns=[self._options.arn])
        return self._shown(reply["Rules"], "Actions")

    def _shown(self, found: list[dict[str, list[Action]]], key: str) -> Forward:
        if not found:
            raise UnknownNameError("there is no such thing", where=self._where, remedy="check it")
        forward = Forward(self._spec, found[0][key])
        self._told(forward.told)
        self._groups = forward.groups()
        return forward

    def _told(self, tell: Callable[[], dict[str, int]]) -> dict[str, int]:
        try:
            return tell()
        except DirectorError as error:
            raise DirectorError(error.problem, where=self._where, remedy=error.remedy) from None

    def _set(self, forward: Forward, wanted: Mapping[str, int]) -> Forward:
        """Set the weights, and return what AWS shows then."""
        actions = forward.with_weights(wanted)

        def settled() -> bool:
            return self._forward().weights() == wanted

        if self._options.listener:
            reply = self._aws.write(
                _ELBV2, "ModifyListener", settled,
                ListenerArn=self._options.arn, DefaultActions=actions,
            )  # fmt: skip
            found, key = "Listeners", "DefaultActions"
        else:
            reply = self._aws.write(
                _ELBV2, "ModifyRule", settled, RuleArn=self._options.arn, Actions=actions
            )
            found, key = "Rules", "Actions"
        return self._forward() if reply is None else self._shown(reply[found], key)

    def _fence(self, token: int) -> Claim:
        """Return the claim that stands there, unless it is a newer one.

        :raises FencedError: when it is.
        """
        reply = self._aws.read(_ELBV2, "DescribeTags", ResourceArns=[self._options.arn])
        key = _TAG.format(resource=self._resource)
        tags = {tag["Key"]: tag["Value"] for one in reply["TagDescriptions"] for tag in one["Tags"]}
        claim = claimed(tags.get(key, ""))
        claim.refuse_older(token, self._where)
        return claim

    def _claim(self, forward: Forward, token: int) -> None:
        self._put_claim(self._fence(token), forward, token)

    def _put_claim(self, claim: Claim, forward: Forward, token: int) -> None:
        """Write the token down, with the weights before its owner changed any, if it is new."""
        if token <= claim.token:
            return
        key = _TAG.format(resource=self._resource)
        self._aws.write(
            _ELBV2, "AddTags", lambda: self._fence(token).token == token,
            ResourceArns=[self._options.arn],
            Tags=[{"Key": key, "Value": Claim(token, forward.told()).text()}],
        )  # fmt: skip

    def _checked(self, forward: Forward) -> Mapping[str, WallTime]:
        groups = forward.groups()

        def checked(host: str) -> WallTime | None:
            return self._now() if self._group(groups[host], host).healthy() else None

        return Lazily(groups, checked)

    def _group(self, arn: str, host: str) -> TargetGroup:
        return TargetGroup(
            aws=self._aws,
            arn=arn,
            host=host,
            target=self._target(host),
            where=self._where,
            poll=self._options.poll,
            now=self._now,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )

    def _target(self, host: str) -> str:
        """Return what stands for a host in its target group; empty when nobody can say."""
        if host in self._options.target_ids:
            return self._options.target_ids[host]
        addresses = {known.name: known.address for known in self._access.registered()}
        return addresses.get(host, "")

    def _required_group(self, forward: Forward, host: str) -> str:
        groups = forward.groups()
        if host not in groups:
            raise unknown("host", host, groups, where=self._where)
        return groups[host]

    def _kind(self) -> str:
        return "listener" if self._options.listener else "rule"

    def _name(self) -> str:
        """Return the name of the load balancer, and what tells its listeners and rules apart."""
        parts = self._options.arn.rpartition(":")[2].split("/")
        return "/".join(parts[2:3] + parts[4:])
