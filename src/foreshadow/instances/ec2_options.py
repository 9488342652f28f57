"""What a person writes about a host whose machine is an EC2 instance: ``ec2_…`` labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from foreshadow.cloud.options import AwsOptions
from foreshadow.domain.fleet import Host
from foreshadow.domain.problems import first_problem
from foreshadow.domain.units import Seconds

_PREFIX = "ec2_"


class Ec2Options(AwsOptions):
    """Where and from what a host's machine is made.

    :ivar launch_template: id or name of the template that all else about the machine comes from:
        image, type, security groups, instance profile, and user data that starts the agent.
    :ivar version: of the template.
    :ivar subnet: with it, the machine gets the host's address, which must be one of the subnet's,
        so that there can never be two; without, the template says.
    :ivar hibernate: put a cold shadow to sleep with its memory, where the template allows it.
    :ivar boot_timeout: how long a machine may take until its agent answers.
    :ivar stop_timeout: how long it may take to stop.
    :ivar poll: how long to wait between two looks at a machine.
    """

    launch_template: Annotated[str, Field(min_length=1, max_length=128)]
    version: str = "$Default"
    subnet: Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")] | None = None
    hibernate: bool = False
    boot_timeout: Annotated[Seconds, Field(gt=0)] = 300.0
    stop_timeout: Annotated[Seconds, Field(gt=0)] = 300.0
    poll: Annotated[Seconds, Field(gt=0)] = 2.0

    def template(self) -> dict[str, str]:
        """Return the template as AWS takes it."""
        by_id = self.launch_template.startswith("lt-")
        key = "LaunchTemplateId" if by_id else "LaunchTemplateName"
        return {key: self.launch_template, "Version": self.version}


def parse_options(host: Host) -> Ec2Options:
    """Return the options in a host's labels.

    :raises SpecError: in one line, with the key and the way out.
    """
    own = {
        key.removeprefix(_PREFIX): value
        for key, value in host.labels.items()
        if key.startswith(_PREFIX)
    }
    try:
        return Ec2Options.model_validate(own)
    except ValidationError as error:
        where = f"host {host.name}, labels without {_PREFIX}"
        raise first_problem(error, where, Ec2Options) from None
