"""Hosts and instances: where things can run, and what runs there."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from blake3 import blake3
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from foreshadow.domain.clock import WallTime
from foreshadow.domain.problems import first_problem, not_a_mapping
from foreshadow.domain.spec import Mode, Name, ServiceSpec
from foreshadow.domain.units import Bytes

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")


def _address(address: str) -> str:
    """Return an IP address or a name of the DNS."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        if not _HOST_NAME.fullmatch(address):
            shown = repr(address[:60])
            raise ValueError(
                f"{shown} is no address: write an IP address or a host name, and its port as port"
            ) from None
    return address


class Capacity(BaseModel):
    """How much a host can carry, in absolute units; what is null is not limited.

    :ivar cpu: cores.
    :ivar memory: bytes.
    :ivar rate: requests per second.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Bytes | None = None
    rate: Annotated[float, Field(gt=0)] | None = None

    def limits(self) -> dict[str, float]:
        """Return the kinds of demand that this host limits."""
        kinds = {"cpu": self.cpu, "memory": self.memory, "rate": self.rate}
        return {kind: float(limit) for kind, limit in kinds.items() if limit is not None}


class Host(BaseModel):
    """A machine with an agent.

    :ivar relay: true for a load balancer's host: it relays director commands, and is never a
        candidate for an instance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    address: Annotated[str, AfterValidator(_address)]
    port: Annotated[int, Field(ge=1, le=65535)] = 7443
    zone: str = ""
    capacity: Capacity = Capacity()
    driver: Name = "agent"
    labels: dict[str, str] = {}
    groups: tuple[str, ...] = ()
    relay: bool = False

    def plain(self) -> dict[str, Any]:
        """Return the host as JSON types."""
        return self.model_dump(mode="json")


def parse_host(raw: object) -> Host:
    """Return one host.

    :raises SpecError: in one line, with the key and the way out.
    """
    if not isinstance(raw, Mapping):
        raise not_a_mapping("host", raw)
    try:
        return Host.model_validate(raw)
    except ValidationError as error:
        raise first_problem(error, f"host {raw.get('name', 'without a name')}", Host) from None


class Role(StrEnum):
    """What an instance is to its resource."""

    PRIMARY = "primary"
    SHADOW = "shadow"


class RunState(StrEnum):
    """What the process of an instance does now."""

    STOPPED = "stopped"
    RUNNING = "running"
    FROZEN = "frozen"
    FAILED = "failed"


class Instance(BaseModel):
    """One copy of a resource on one host, as its driver reports it and the ledger keeps it.

    :ivar mode: how it waits when it is a shadow; a primary keeps the mode it will fall back to.
    :ivar version: the last state version that it applied; 0 before the first.
    :ivar launched: :func:`launch_digest` of what its process was started with; empty when that is
        not known, as for a process that was adopted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: Name
    host: Name
    role: Role
    mode: Mode
    state: RunState
    address: str
    port: int
    version: int = 0
    release: str | None = None
    launched: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the instance as JSON types."""
        return self.model_dump(mode="json")


def launch_digest(service: ServiceSpec, capacity: Capacity) -> str:
    """Return the digest of what a process is started with: when it differs, it is out of date."""
    content = [service.command, service.port, service.user, service.environment, capacity.limits()]
    return blake3(json.dumps(content, sort_keys=True).encode()).hexdigest(16)


RESTING: Mapping[Mode, RunState] = {
    Mode.COLD: RunState.STOPPED,
    Mode.WARM: RunState.FROZEN,
    Mode.HOT: RunState.RUNNING,
}
"""The run state in which a shadow of each mode waits."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The last state version that a shadow has applied and said so.

    :ivar version: the sender's number of it.
    :ivar root: hash over its entries: equal roots are equal files.
    :ivar captured_at: wall time of the capture; what staleness is counted from.
    :ivar acknowledged_at: wall time at which the shadow's word arrived.
    """

    resource: str
    host: str
    version: int
    root: str
    captured_at: WallTime
    acknowledged_at: WallTime
