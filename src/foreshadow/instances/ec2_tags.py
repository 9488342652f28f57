"""What an EC2 instance's tags say of it: whose machine it is, and what stood on it when it stopped.

While a machine runs, its agent is who knows; while it is stopped, its tags are all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.spec import Mode

HOST, RESOURCE = "foreshadow:host", "foreshadow:resource"
TOKEN, MADE, REST = "foreshadow:token", "foreshadow:made", "foreshadow:rest"
_PARTS = 6
_NONE = "-"

ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class Machine:
    """An EC2 instance that is a host's machine.

    :ivar state: as EC2 names it.
    :ivar resource: whose instance it carries; empty when it is free.
    :ivar token: the newest fencing token that did something to the machine itself.
    :ivar made: it was made here, and may be terminated here.
    :ivar rest: what stood on it when it was last stopped.
    """

    id: str
    state: str
    resource: str
    token: int
    made: bool
    rest: str
    reason: str = ""

    @property
    def awake(self) -> bool:
        """Return whether its agent can answer, now or soon."""
        return self.state in ("pending", "running")

    def instance(self, resource: str, host: Host, state: RunState) -> Instance:
        """Return the instance on it as its tags tell it."""
        parts = self.rest.split(" ")
        if len(parts) != _PARTS:
            parts = [Role.SHADOW.value, Mode.COLD.value, "0", "1", _NONE, _NONE]
        role, mode, version, port, launched, release = parts
        return Instance(
            resource=resource,
            host=host.name,
            role=Role(role),
            mode=Mode(mode),
            state=state,
            address=host.address,
            port=int(port),
            version=int(version),
            launched="" if launched == _NONE else launched,
            release=None if release == _NONE else release,
        )


def described(raw: Mapping[str, Any]) -> Machine:
    """Return the machine that an EC2 instance is, as ``DescribeInstances`` shows it."""
    tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}
    token = tags.get(TOKEN, "0")
    return Machine(
        id=raw["InstanceId"],
        state=raw["State"]["Name"],
        resource=tags.get(RESOURCE, ""),
        token=int(token) if token.isdecimal() else 0,
        made=MADE in tags,
        rest=tags.get(REST, ""),
        reason=raw.get("StateReason", {}).get("Message", ""),
    )


def rest(instance: Instance) -> str:
    """Return what has to be known of an instance while its machine is stopped."""
    release = (instance.release or _NONE).replace(" ", "_")
    return (
        f"{instance.role.value} {instance.mode.value} {instance.version} {instance.port} "
        f"{instance.launched or _NONE} {release}"
    )
