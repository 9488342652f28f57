"""A switchover's ports on the real world: agents, directors, state sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from signal import SIGINT, SIGTERM, Signals, getsignal, signal
from threading import current_thread, main_thread
from types import FrameType

from foreshadow.domain.errors import FencedError, SyncError, UnreachableError
from foreshadow.domain.fleet import Acknowledged
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.sync_calls import SyncCalls, error_in
from foreshadow.switchover.pace import Stop
from foreshadow.switchover.stage import Ports
from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2


def ports(context: Context, spec: ResourceSpec) -> Ports:
    """Return the ports of one resource.

    What leads to a host is looked up once: a pause must not wait for the ledger.
    """

    def raise_fence(host: str, token: int) -> None:
        client = context.access.client(host)
        fence = agent.Fence(resource=spec.name, token=token)
        client.call(client.agent.RaiseFence, agent.FenceRequest(fence=fence))

    return Ports(
        instances=cache(context.driver),
        directors=context.directors(spec),
        sync=AgentSync(context, spec),
        raise_fence=raise_fence,
    )


class AgentSync:
    """State sync of one resource through the agents of its hosts."""

    def __init__(self, context: Context, spec: ResourceSpec) -> None:
        self._context = context
        self._spec = spec
        self._known: dict[str, SyncCalls] = {}
        self._followed: dict[str, tuple[str, int]] = {}

    def standing(self, source: str, destination: str) -> Acknowledged | None:
        """Return what a destination acknowledged last, as its source or the ledger knows."""
        known = [self._context.ledger.acknowledgements(self._spec.name).get(destination)]
        calls = self._calls(source)
        with suppress(UnreachableError):
            known += [
                calls.acknowledged(r) for r in calls.status().results if r.host == destination
            ]
        seen = [one for one in known if one is not None]
        return max(seen, key=lambda one: one.captured_at, default=None)

    def send(self, source: str, destination: str, token: int) -> Acknowledged:
        """Run one round now."""
        self._follow(source, [destination], token)
        reply = self._calls(source).round([destination], token)
        return self._acknowledged(source, destination, reply)

    def hand_over(self, source: str, destination: str, token: int, within: float) -> Acknowledged:
        """Seal the source once its requests have ended, and run the last round."""
        reply = self._calls(source).final_round(
            destination, token, within, self._spec.policy.pause_limit
        )
        return self._acknowledged(source, destination, reply)

    def _acknowledged(
        self, source: str, destination: str, reply: sync_pb2.SyncReply
    ) -> Acknowledged:
        (result,) = reply.results
        calls = self._calls(source)
        error, acknowledged = error_in(result), calls.acknowledged(result)
        if error is not None:
            raise error
        if acknowledged is None:
            where = f"resource {self._spec.name}, state from {source} to {destination}"
            raise SyncError("was not acknowledged", where=where)
        return acknowledged

    def schedule(self, source: str, destinations: Sequence[str], token: int) -> None:
        """Set the background schedule of a host, or take it away."""
        self._follow(source, destinations, token)
        interval = self._spec.sync.interval if destinations else 0.0
        self._calls(source).schedule(destinations, interval, token)

    def _follow(self, source: str, hosts: Sequence[str], token: int) -> None:
        """Let hosts take their state from this one; told once under each token.

        A host that cannot be told now refuses state until it is: by the next run of state_sync.

        :raises FencedError: when somebody else has taken over.
        """
        new = [host for host in hosts if self._followed.get(host) != (source, token)]
        failed = self._calls(source).follow(new, token)
        for error in failed.values():
            if isinstance(error, FencedError):
                raise error
        self._followed |= {host: (source, token) for host in new if host not in failed}

    def _calls(self, source: str) -> SyncCalls:
        if source not in self._known:
            self._known[source] = SyncCalls(self._context, self._spec.name, source)
        return self._known[source]


@contextmanager
def stopping_on_signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask to stop instead of ending the process half-way.

    Only the main thread may set handlers; elsewhere whoever has it decides.
    """
    if current_thread() is not main_thread():
        yield
        return

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.ask()

    before: dict[Signals, object] = {number: getsignal(number) for number in (SIGTERM, SIGINT)}
    for number in before:
        signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler)  # type: ignore[arg-type]
