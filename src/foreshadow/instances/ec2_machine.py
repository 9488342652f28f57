"""The machine of a host as an EC2 instance: made once, found again by its tags, waited for."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from typing import Any

from blake3 import blake3

from foreshadow.cloud.aws import Aws
from foreshadow.domain.errors import (
    FencedError,
    RefusedError,
    ServiceError,
    UnreachableError,
)
from foreshadow.domain.fleet import Host
from foreshadow.domain.units import format_duration
from foreshadow.instances.ec2_options import Ec2Options
from foreshadow.instances.ec2_tags import ALIVE, HOST, MADE, RESOURCE, TOKEN, Machine, described

_EC2 = "ec2"
_MOST_GENERATIONS = 20
_LOOK_EVERY = 5


class Machines:
    """The one machine of a host.

    :param answers: returns whether the agent on it answers.
    """

    def __init__(
        self,
        host: Host,
        options: Ec2Options,
        answers: Callable[[], bool],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._options = options
        self._answers = answers
        self._where = f"host {host.name}"
        self._aws = Aws(options.shared(), self._where, sleep=sleep)
        self._monotonic = monotonic
        self._sleep = sleep

    def find(self) -> Machine | None:
        """Return the machine, by its tag; ``None`` when there is none, or it is gone.

        :raises RefusedError: when there are two: a person has to say which of them it is.
        """
        return self._alive(self._tagged())

    def ensure(self, resource: str, token: int) -> Machine:
        """Return the machine, running and with an agent that answers; make it or start it first.

        Made with a client token that follows from what is made, so that whoever tries again, in
        this process or another, gets the same machine.

        :raises NoCapacityError: when AWS has no room for it.
        :raises ServiceError: when its agent does not answer in time; the machine is kept.
        """
        tagged = self._tagged()
        machine = self._alive(tagged)
        if machine is None:
            machine = self._make(resource, gone=len(tagged))
        else:
            self.refuse(machine, resource, token)
            if machine.state == "stopping":
                machine = self._wait_stopped(machine)
            if machine.state == "stopped":
                self._start(machine, token)
            elif machine.resource != resource:
                self.tag(machine, {RESOURCE: resource, TOKEN: str(token)})
        self._wait_answer()
        return machine

    def refuse(self, machine: Machine, resource: str, token: int) -> None:
        """Refuse to act on a machine that another resource has, or a newer token.

        :raises FencedError: when the token is late.
        :raises RefusedError: when the machine carries another resource.
        """
        if token < machine.token:
            raise FencedError(
                f"token {token} is late: {machine.token} has been seen at machine {machine.id}",
                where=self._where,
                remedy="stop; somebody newer moves this resource",
            )
        if machine.resource not in ("", resource):
            raise RefusedError(
                f"its machine {machine.id} carries {machine.resource} already",
                where=self._where,
                remedy=f"give {resource} another host",
            )

    def stop(self, machine: Machine, token: int, tags: Mapping[str, str]) -> None:
        """Write down what stands on the machine, stop it, and wait until it is stopped."""
        self.tag(machine, {**tags, TOKEN: str(token)})
        self._aws.write(
            _EC2, "StopInstances", lambda: self._state(machine) in ("stopping", "stopped"),
            InstanceIds=[machine.id],
            **({"Hibernate": True} if self._options.hibernate else {}),
        )  # fmt: skip
        self._wait_stopped(machine)

    def terminate(self, machine: Machine) -> None:
        """End the machine for good."""
        self._aws.write(
            _EC2, "TerminateInstances", lambda: self._state(machine) not in ALIVE,
            InstanceIds=[machine.id],
        )  # fmt: skip

    def tag(self, machine: Machine, tags: Mapping[str, str]) -> None:
        """Write tags of the machine."""
        self._aws.write(
            _EC2, "CreateTags", lambda: False,  # writing them again is the same
            Resources=[machine.id],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )  # fmt: skip

    def _make(self, resource: str, gone: int) -> Machine:
        """Make a machine. No fencing token is in the request: each try would be another one then.

        :param gone: how many that are terminated AWS still shows: so many client tokens, at
            least, would give one of those.
        """
        for generation in range(gone, gone + _MOST_GENERATIONS):
            request = self._request(resource, generation)
            reply = self._aws.write(
                _EC2, "RunInstances", lambda: self.find() is not None, **request
            )
            made = self.find() if reply is None else described(reply["Instances"][0])
            if made is not None and made.state in ALIVE:
                return made
        raise RefusedError(
            "AWS gives only machines that are terminated already",
            where=self._where,
            remedy="wait some minutes until it has forgotten them",
        )

    def _request(self, resource: str, generation: int) -> dict[str, Any]:
        tags = {
            "Name": f"foreshadow {self._host.name}",
            HOST: self._host.name,
            RESOURCE: resource,
            MADE: "yes",
        }
        request: dict[str, Any] = {
            "LaunchTemplate": self._options.template(),
            "MinCount": 1,
            "MaxCount": 1,
        }
        if self._options.subnet:
            request["SubnetId"] = self._options.subnet
            request["PrivateIpAddress"] = self._address()
        content = f"{self._host.name}\0{resource}\0{request}\0{generation}"
        request["ClientToken"] = blake3(content.encode()).hexdigest(24)
        request["TagSpecifications"] = [
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ]
        return request

    def _address(self) -> str:
        try:
            return str(ipaddress.ip_address(self._host.address))
        except ValueError:
            raise RefusedError(
                f"its address {self._host.address} is a name, which no machine can be given",
                where=self._where,
                remedy="register it with an address of the subnet, or leave ec2_subnet out",
            ) from None

    def _start(self, machine: Machine, token: int) -> None:
        self.tag(machine, {TOKEN: str(token)})
        self._aws.write(
            _EC2, "StartInstances", lambda: self._state(machine) in ("pending", "running"),
            InstanceIds=[machine.id],
        )  # fmt: skip

    def _wait_answer(self) -> None:
        """Wait until the agent answers; look from time to time whether the machine is still there.

        :raises ServiceError: when it does not in time, or the machine is gone.
        """
        deadline = self._monotonic() + self._options.boot_timeout
        looks = 0
        while not self._answers():
            looks += 1
            machine = self.find() if looks % _LOOK_EVERY == 0 else None
            if looks % _LOOK_EVERY == 0 and (machine is None or not machine.awake):
                state = "gone" if machine is None else f"{machine.state} {machine.reason}".strip()
                raise ServiceError(f"its machine is {state} while it should start",
                                   where=self._where, remedy="look at it in EC2")  # fmt: skip
            if self._monotonic() > deadline:
                raise ServiceError(
                    "the agent on its machine does not answer "
                    f"{format_duration(self._options.boot_timeout)} after its start",
                    where=self._where,
                    remedy="look at its console output, its security group and its certificate; "
                    "the machine is kept, and the next run goes on with it",
                )
            self._sleep(self._options.poll)

    def _wait_stopped(self, machine: Machine) -> Machine:
        deadline = self._monotonic() + self._options.stop_timeout
        while True:
            found = self.find()
            if found is None or found.id != machine.id:
                raise ServiceError(f"machine {machine.id} is gone", where=self._where)
            if found.state == "stopped":
                return found
            if self._monotonic() > deadline:
                raise UnreachableError(
                    f"machine {machine.id} is {found.state} "
                    f"{format_duration(self._options.stop_timeout)} after it was to stop",
                    where=self._where,
                    remedy="run again later",
                )
            self._sleep(self._options.poll)

    def _state(self, machine: Machine) -> str:
        found = self.find()
        return "gone" if found is None or found.id != machine.id else found.state

    def _tagged(self) -> list[Machine]:
        """Return every machine with the host's tag, those that are gone too."""
        pages = self._aws.pages(
            _EC2, "DescribeInstances",
            Filters=[{"Name": f"tag:{HOST}", "Values": [self._host.name]}],
        )  # fmt: skip
        return [
            described(raw)
            for page in pages
            for reservation in page["Reservations"]
            for raw in reservation["Instances"]
        ]

    def _alive(self, tagged: list[Machine]) -> Machine | None:
        alive = [machine for machine in tagged if machine.state in ALIVE]
        if len(alive) > 1:
            raise RefusedError(
                f"machines {' and '.join(machine.id for machine in alive)} both say that they "
                "are its own",
                where=self._where,
                remedy=f"take the tag {HOST} from the one that is not",
            )
        return alive[0] if alive else None
