"""What an agent calls on a service at the turns of its life: a command, or the service itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from foreshadow.domain.units import without_nul

Text = Annotated[str, AfterValidator(without_nul)]
Words = tuple[Text, ...]


class HttpHook(BaseModel):
    """A request to the service, at its own address and port; it has worked when it answers 2xx.

    A command costs a process, which is most of what a short pause has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[Text, Field(min_length=1)]
    method: Literal["POST", "PUT", "GET"] = "POST"


def _kind(value: Any) -> str:
    return "[http]" if isinstance(value, Mapping | HttpHook) else "[command]"


Hook = Annotated[
    Annotated[Words, Tag("[command]")] | Annotated[HttpHook, Tag("[http]")],
    Discriminator(_kind),
]


class HooksSpec(BaseModel):
    """What the agent calls beside the service: commands run with the instance's environment.

    :ivar go_away: while its traffic is on another host, it lets go of connections that would not
        end by themselves, such as websockets by a close with 1001; it goes on to serve.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reload: Hook = ()
    promote: Hook = ()
    fence: Hook = ()
    go_away: Hook = ()
