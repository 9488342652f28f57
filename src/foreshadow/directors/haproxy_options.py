"""What a person writes about a HAProxy director, beside ``kind`` and ``targets``."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from foreshadow.directors.options import parsed
from foreshadow.domain.spec import DirectorSpec, Name
from foreshadow.domain.units import Seconds

_RuntimeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]


class HaproxyEndpoint(BaseModel):
    """One HAProxy: the host whose agent stands beside it, and its stats socket there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: Name
    socket: Annotated[str, Field(pattern=r"^/")]


class HaproxyOptions(BaseModel):
    """The HAProxy processes that share the traffic of a resource, and their backend for it.

    :ivar admit_timeout: how long a host may take to pass a check at every endpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoints: Annotated[tuple[HaproxyEndpoint, ...], Field(min_length=1)]
    backend: _RuntimeName
    admit_timeout: Seconds = 10.0

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.endpoints)) != len(self.endpoints):
            raise ValueError("the same endpoint is named twice: name each HAProxy once")
        return self

    def name(self, endpoint: HaproxyEndpoint) -> str:
        """Return what an endpoint is called: its agent, with the socket where that is not all."""
        alone = sum(other.agent == endpoint.agent for other in self.endpoints) == 1
        return endpoint.agent if alone else f"{endpoint.agent}:{endpoint.socket}"


def parse_options(spec: DirectorSpec, resource: str) -> HaproxyOptions:
    """Return the options of a director.

    :raises SpecError: in one line, with the key and the way out.
    """
    return parsed(HaproxyOptions, spec, resource)
