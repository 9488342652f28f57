"""What a person writes about a Route 53 director, beside ``kind`` and ``targets``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from foreshadow.cloud.options import AwsOptions
from foreshadow.directors.checks import CheckOptions
from foreshadow.directors.options import parsed
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import Seconds


def _absolute(name: str) -> str:
    """Return a name as Route 53 shows it."""
    return name.lower().rstrip(".").replace("*", "\\052") + "."


class Route53Options(AwsOptions):
    """A set of weighted records of one name and type.

    :ivar zone: id of the hosted zone.
    :ivar check: asked where a record has no health check of Route 53.
    :ivar admit_timeout: how long a host may take to pass a check.
    :ivar sync_timeout: how long a change may take until every server of Route 53 shows it.
    :ivar propagation: how long it takes at most, for who did not see it end; AWS says a minute.
    :ivar armed_ttl: the TTL for when a move is ahead; null leaves the TTL as it is.
    :ivar poll: how long to wait between two looks at a change or a check.
    """

    zone: Annotated[str, Field(pattern=r"^(/hostedzone/)?[A-Z0-9]{1,32}$")]
    record: Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_absolute)]
    type: Literal["A", "AAAA", "CNAME"] = "A"
    check: CheckOptions = CheckOptions(port=443)
    admit_timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    sync_timeout: Annotated[Seconds, Field(gt=0)] = 120.0
    propagation: Seconds = 60.0
    armed_ttl: Annotated[Seconds, Field(ge=1)] | None = None
    poll: Annotated[Seconds, Field(gt=0)] = 1.0


def parse_options(spec: DirectorSpec, resource: str) -> Route53Options:
    """Return the options of a director.

    :raises SpecError: in one line, with the key and the way out.
    """
    return parsed(Route53Options, spec, resource)
