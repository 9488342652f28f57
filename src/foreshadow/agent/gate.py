"""The gate before every call: who may call what, and how errors go back.

The transport lets nobody in without a certificate of our authority. Controllers may call
everything. An agent may send state to another agent and ask who it is, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

import grpc
import grpc.aio

from foreshadow.domain.errors import AccessError, ForeshadowError
from foreshadow.wire.fail import to_status
from foreshadow.wire.identity import Identity, Kind, peer

_FOR_AGENTS = frozenset({"Describe", "Offer", "OfferSmall", "Push"})

_log = logging.getLogger(__name__)

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]


class Gate(grpc.aio.ServerInterceptor):
    """Checks the caller of each call, and turns errors into statuses.

    A call with a single request runs to its end even when its caller goes away, so that nothing
    is left half done because somebody lost patience.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Return the handler of a method with the gate before it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method).rpartition("/")[2]
        ways = {"request_deserializer": handler.request_deserializer,
                "response_serializer": handler.response_serializer}  # fmt: skip
        if handler.request_streaming:
            guarded = self._guarded(method, handler.stream_unary, streaming=True)
            return grpc.stream_unary_rpc_method_handler(guarded, **ways)
        guarded = self._guarded(method, handler.unary_unary, streaming=False)
        return grpc.unary_unary_rpc_method_handler(guarded, **ways)

    def _guarded(self, method: str, inner: Any, *, streaming: bool) -> Any:
        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                caller = peer(context)
                _refuse_unless_allowed(caller, method)
                if streaming:
                    return await inner(request, context)
                return await self._finish(method, inner(request, context))
            except ForeshadowError as error:
                await _abort(context, error)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - it is logged, and told to the caller
                _log.exception("%s failed", method)
                await context.abort(
                    grpc.StatusCode.INTERNAL, f"{method}: {type(error).__name__}: {error}"
                )

        return call

    async def _finish(self, method: str, work: Coroutine[Any, Any, Any]) -> Any:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                task.add_done_callback(lambda done: _tell_the_end(method, done))
            raise


def _refuse_unless_allowed(caller: Identity, method: str) -> None:
    if caller.kind is Kind.AGENT and method not in _FOR_AGENTS:
        raise AccessError(
            f"{caller} may not call {method}",
            remedy="use the certificate of a controller",
        )


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: ForeshadowError) -> NoReturn:
    status, details, metadata = to_status(error)
    await context.abort(status, details, metadata)


def _tell_the_end(method: str, done: asyncio.Task[Any]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.warning("%s failed after its caller had gone: %s", method, error)
