"""EC2 instances as AWS has them: client tokens, addresses that are taken, and time to boot."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import moto.backends

from tests.support.aws.calls import Call
from tests.support.aws.server import Answer, Forward, RefusedCall

_ID = re.compile(r"<instanceId>(i-[0-9a-f]+)</instanceId>")
_STATE = re.compile(
    r"(<instanceId>(i-[0-9a-f]+)</instanceId>(?:(?!<instanceId>).)*?<instanceState>).*?"
    r"(</instanceState>)",
    re.DOTALL,
)
_NOBODY = b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"
_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64,
          "stopped": 80}  # fmt: skip


def asked_address(form: Mapping[str, str]) -> str:
    """Return the address that a request wants for a machine; empty when it wants none."""
    return next((form[key] for key in sorted(form) if key.endswith("PrivateIpAddress")), "")


@dataclass
class Machines:
    """The truth about instances.

    :ivar boots: called when a machine has booted, ``ends`` when it was stopped or terminated.
    :ivar boot: seconds from a start until a machine runs; ``halt`` until it has stopped.
    :ivar full: AWS has no capacity.
    :ivar requests: by instance, what was asked for when it was made.
    :ivar hidden: seconds for which a new instance is not found by its tags, as it may be in AWS.
    """

    boots: Callable[[str], None] = lambda _: None
    ends: Callable[[str, bool], None] = lambda _, __: None
    boot: float = 0.1
    halt: float = 0.1
    full: bool = False
    hidden: float = 0.0
    states: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    requests: dict[str, dict[str, str]] = field(default_factory=dict)
    _made: dict[str, tuple[str, str]] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)
    _shown_from: float = 0.0

    def answer(self, call: Call, forward: Forward) -> Answer | None:
        """Answer what is about instances."""
        if call.service != "ec2":
            return None
        match call.action:
            case "RunInstances":
                return self._run(call, forward)
            case "CreateLaunchTemplate":
                answer = forward()
                _keep_tags_out_of_templates()
                return answer
            case "StartInstances":
                self._begin(call.members("InstanceId")[0])
            case "StopInstances":
                self._end(call.members("InstanceId")[0], "stopping", "stopped")
            case "TerminateInstances":
                self._end(call.members("InstanceId")[0], "shutting-down", "terminated")
            case "DescribeInstances" if time.monotonic() < self._shown_from:
                return 200, "text/xml", _NOBODY
            case "DescribeInstances":
                pass
            case _:
                return None
        return self._shown(forward())

    def state(self, instance: str) -> str:
        """Return the state that AWS shows."""
        now_is, until, then = self.states.get(instance, ("running", 0.0, "running"))
        return now_is if time.monotonic() < until else then

    def alive(self) -> list[str]:
        """Return the instances that cost money."""
        gone = ("shutting-down", "terminated")
        return [instance for instance in self.states if self.state(instance) not in gone]

    def forget(self) -> None:
        """Know of no instance any more, and let moto know of none."""
        for account in moto.backends.get_backend("ec2").values():
            for backend in account.values():
                backend.reservations.clear()
        self.states.clear()
        self.requests.clear()
        self._made.clear()
        self._addresses.clear()

    def _run(self, call: Call, forward: Forward) -> Answer:
        token = call.form["ClientToken"]
        asked = repr(sorted((k, v) for k, v in call.form.items() if k != "ClientToken"))
        if token in self._made:
            before, body = self._made[token]
            if before != asked:
                raise RefusedCall("IdempotentParameterMismatch", "another request had this token")
            return self._shown((200, "text/xml", body.encode()))
        if self.full:
            raise RefusedCall("InsufficientInstanceCapacity", "no capacity in eu-west-1a", 500)
        address = asked_address(call.form)
        if any(at == address and i in self.alive() for i, at in self._addresses.items() if at):
            raise RefusedCall("InvalidIPAddress.InUse", f"{address} is in use")
        answer = forward()
        if answer[0] == 200:
            text = answer[2].decode()
            (instance,) = set(_ID.findall(text))
            self._made[token] = (asked, text)
            self._addresses[instance] = address
            self.requests[instance] = dict(call.form)
            self._shown_from = time.monotonic() + self.hidden
            self._begin(instance)
        return self._shown(answer)

    def _begin(self, instance: str) -> None:
        if self.state(instance) not in ("stopped", "running") or (
            instance in self.states and self.state(instance) == "running"
        ):
            return
        self.states[instance] = ("pending", time.monotonic() + self.boot, "running")
        booting = threading.Timer(self.boot, self._booted, args=(instance,))
        booting.daemon = True
        booting.start()

    def _booted(self, instance: str) -> None:
        if self.state(instance) == "running":
            self.boots(instance)

    def _end(self, instance: str, now_is: str, then: str) -> None:
        if self.state(instance) in (now_is, then):
            return
        self.states[instance] = (now_is, time.monotonic() + self.halt, then)
        self.ends(instance, then == "terminated")

    def _shown(self, answer: Answer) -> Answer:
        status, kind, content = answer

        def replace(found: re.Match[str]) -> str:
            if found.group(2) not in self.states:
                return found.group()
            name = self.state(found.group(2))
            inner = f"<code>{_CODES[name]}</code><name>{name}</name>"
            return found.group(1) + inner + found.group(3)

        return status, kind, _STATE.sub(replace, content.decode()).encode()


def _keep_tags_out_of_templates() -> None:
    """Take the tags of a launch template itself out of what it holds for machines.

    moto puts them there, and so Terraform would always see a difference.
    """
    for account in moto.backends.get_backend("ec2").values():
        for backend in account.values():
            for template in backend.launch_templates.values():
                for version in template.versions:
                    said = version.data.pop("TagSpecifications", [])
                    kept = [one for one in said if one["ResourceType"] != "launch-template"]
                    if kept:
                        version.data["TagSpecifications"] = kept
