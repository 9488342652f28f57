"""Calling an agent from code that may block."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import grpc

from foreshadow.domain.errors import ForeshadowError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.domain.units import format_duration
from foreshadow.wire.channel import open_channel, target
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.diagnose import diagnose
from foreshadow.wire.fail import FailedCall, from_status
from foreshadow.wire.gen.agent_pb2_grpc import AgentStub
from foreshadow.wire.gen.sync_pb2_grpc import SyncStub

Request = TypeVar("Request")
Reply = TypeVar("Reply")


class AgentClient:
    """One agent, as seen by a controller or by another agent.

    :param timeout: seconds that a call may take when it names no timeout of its own.
    :raises AccessError: when the credentials cannot be used.
    """

    def __init__(self, host: Host, credentials: Credentials, timeout: float = 10.0) -> None:
        self.host = host
        self._credentials = credentials
        self._timeout = timeout
        self._channel = open_channel(host, credentials)
        self.agent = AgentStub(self._channel)
        self.sync = SyncStub(self._channel)

    def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None = None,
    ) -> Reply:
        """Call a method of one of the stubs and return its reply.

        :param timeout: seconds; the client's own when it is not given.
        :raises ForeshadowError: what the agent said, or why it could not be asked.
        """
        limit = self._timeout if timeout is None else timeout
        try:
            return method(request, timeout=limit)
        except grpc.RpcError as error:
            call = cast("FailedCall", error)
            raise failure(call, self.host, self._credentials, limit) from None

    def begin(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Reply],
        request: Request,
        timeout: float | None = None,
    ) -> Callable[[], Reply]:
        """Call a method as :meth:`call` does, and return what waits for its reply.

        So calls to several agents are under way at the same time without a thread for each.
        """
        limit = self._timeout if timeout is None else timeout
        future = method.future(request, timeout=limit)

        def reply() -> Reply:
            try:
                return future.result()
            except grpc.RpcError as error:
                call = cast("FailedCall", error)
                raise failure(call, self.host, self._credentials, limit) from None

        return reply

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def failure(
    call: FailedCall, host: Host, credentials: Credentials, timeout: float
) -> ForeshadowError:
    """Return the domain error for a failed call; it may try the address once more, and block.

    :param timeout: seconds that the call was given.
    """
    carried = from_status(call)
    if carried is not None:
        return carried
    where, said = f"host {host.name}", call.details() or call.code().name.lower()
    match call.code():
        case grpc.StatusCode.UNAVAILABLE:
            return diagnose(host, credentials, timeout, said)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnreachableError(
                f"its agent at {target(host)} did not answer within {format_duration(timeout)}",
                where=where,
                remedy="check that the host is up and its port open, or raise the timeout",
            )
        case grpc.StatusCode.UNIMPLEMENTED:
            return ForeshadowError(
                "its agent does not know this call",
                where=where,
                remedy="update it to the version of this controller",
            )
        case code:
            return ForeshadowError(
                f"its agent failed: {code.name.lower()}, {said}",
                where=where,
                remedy="see the agent's log",
            )
