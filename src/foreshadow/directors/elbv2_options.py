"""What a person writes about an ELBv2 director, beside ``kind`` and ``targets``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from foreshadow.cloud.options import AwsOptions
from foreshadow.directors.options import parsed
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import Seconds

_ARN = r"^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}:"


class Elbv2Options(AwsOptions):
    """The listener, or the rule of one, that forwards a resource's traffic by weights.

    :ivar listener: ARN of a listener whose default action forwards to the target groups.
    :ivar rule: ARN of a rule that does, instead.
    :ivar target_ids: by host, what is registered in its target group: an instance id, or an
        address; default: the host's address.
    :ivar admit_timeout: how long a target may take to pass a check of the load balancer.
    :ivar drain_timeout: how long a target may drain; not shorter than the deregistration delay.
    :ivar settle: how long every node of the load balancer may take to follow a change.
    :ivar poll: how long to wait at most between two looks at a target.
    """

    listener: Annotated[str, Field(pattern=_ARN + "listener/")] | None = None
    rule: Annotated[str, Field(pattern=_ARN + "listener-rule/")] | None = None
    target_ids: dict[str, str] = Field(default_factory=dict)
    admit_timeout: Annotated[Seconds, Field(gt=0)] = 60.0
    drain_timeout: Annotated[Seconds, Field(gt=0)] = 330.0
    settle: Seconds = 5.0
    poll: Annotated[Seconds, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.listener is None) == (self.rule is None):
            raise ValueError("name exactly one of listener and rule")
        arn_region = self.arn.split(":")[3]
        if self.region not in (None, arn_region):
            raise ValueError(f"region {self.region} is not that of the ARN: leave region out")
        return self

    @property
    def arn(self) -> str:
        """Return the ARN of the listener or the rule."""
        return self.listener or self.rule or ""

    def aws(self) -> AwsOptions:
        """Return the way there: the region is that of the ARN."""
        return self.shared().model_copy(update={"region": self.arn.split(":")[3]})


def parse_options(spec: DirectorSpec, resource: str) -> Elbv2Options:
    """Return the options of a director.

    :raises SpecError: in one line, with the key and the way out.
    """
    return parsed(Elbv2Options, spec, resource)
