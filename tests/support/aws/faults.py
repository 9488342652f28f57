"""What can go wrong with a request to AWS, and which request it goes wrong with."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

from tests.support.aws.calls import Call

_AT_ONCE = struct.pack("ii", 1, 0)


class Fault(StrEnum):
    """A way in which a request goes wrong."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"
    RESET = "reset"
    LOST = "reply lost after commit"
    DENIED = "denied"
    EXPIRED = "expired"
    CAPACITY = "no capacity"
    QUOTA = "quota used up"
    TURN = "the world takes a turn"
    """The request itself succeeds; what it meets from there on, the trap's ``turn`` has changed."""


CODES: Mapping[Fault, tuple[int, str]] = {
    Fault.THROTTLED: (400, "Throttling"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.EXPIRED: (403, "ExpiredToken"),
    Fault.CAPACITY: (500, "InsufficientInstanceCapacity"),
    Fault.QUOTA: (400, "VcpuLimitExceeded"),
}


@dataclass
class Trap:
    """Springs on the calls that it is for.

    :ivar skip: how many of them it lets pass first.
    :ivar times: how often it springs after that.
    :ivar turn: what it changes in the world when it springs.
    :ivar sprung: how often it did.
    """

    fault: Fault
    fits: Callable[[Call], bool] = lambda _: True
    skip: int = 0
    times: int = 1
    turn: Callable[[], None] = lambda: None
    sprung: int = 0
    _seen: int = field(default=0, repr=False)

    def springs(self, call: Call) -> bool:
        """Return whether it goes wrong for this call."""
        if not self.fits(call):
            return False
        self._seen += 1
        if self._seen <= self.skip or self.sprung >= self.times:
            return False
        self.sprung += 1
        self.turn()
        return True


def reset(environ: Mapping[str, Any]) -> NoReturn:
    """Break the connection of a request, without a reply."""
    connection: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("a fault that was asked for")


def refusal(service: str, status: int, code: str, said: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of an error, as a service writes it."""
    inner = f"<Code>{code}</Code><Message>{said}</Message>"
    if service == "ec2":
        text = (
            f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>0</RequestID></Response>"
        )
    elif service in ("cloudwatch", "ssm"):
        text = f'{{"__type": "{code}", "message": "{said}"}}'
        return status, "application/x-amz-json-1.0", text.encode()
    else:
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error>"
            "<RequestId>0</RequestId></ErrorResponse>"
        )
    return status, "text/xml", text.encode()
