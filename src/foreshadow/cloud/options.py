"""What every driver of AWS lets a person say about the way there."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foreshadow.domain.units import Seconds


class AwsOptions(BaseModel):
    """Keys that all drivers of AWS share; secrets come from where boto3 looks for them itself.

    :ivar region: default: that of the profile or of the environment.
    :ivar profile: a section of the shared configuration; default: the environment's credentials.
    :ivar timeout: seconds that one request may take.
    :ivar attempts: how often a request is made before its failure is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")] | None = None
    profile: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    attempts: Annotated[int, Field(ge=1, le=10)] = 4

    def shared(self) -> AwsOptions:
        """Return these keys alone, without what a driver adds."""
        return AwsOptions(**{key: getattr(self, key) for key in AwsOptions.model_fields})
