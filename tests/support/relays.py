"""An agent's relay in this process, called the way a director calls an agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from foreshadow.agent.relay import Relay
from foreshadow.domain.errors import FencedError
from foreshadow.wire.access import Access
from foreshadow.wire.gen import agent_pb2 as pb


class MemoryFences:
    """The newest fencing token of each resource, without a store behind it."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}

    def check(self, resource: str, token: int) -> None:
        if token < self.newest.get(resource, 0):
            raise FencedError(f"fencing token {token} is older than {self.newest[resource]}")
        self.newest[resource] = token


class LocalClient:
    """Stands in for :class:`foreshadow.wire.client.AgentClient`, without a wire between."""

    def __init__(
        self, name: str, sockets: Sequence[Path], timeout: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.name = name
        self.fences = MemoryFences()
        self.relay = relay = Relay(sockets, self.fences, timeout=timeout)
        self._loop = loop
        self.agent = SimpleNamespace(
            ReadHaproxy=relay.read,
            ApplyHaproxy=relay.apply,
            PersistHaproxy=relay.persist,
            HoldHaproxy=relay.hold,
            ReadHaproxyHold=relay.read_hold,
            RaiseFence=self._raise_fence,
        )

    async def _raise_fence(self, request: pb.FenceRequest) -> pb.Empty:
        self.fences.check(request.fence.resource, request.fence.token)
        return pb.Empty()

    def call(self, method: Callable[[Any], Coroutine[Any, Any, Any]], request: Any) -> Any:
        return self.begin(method, request)()

    def begin(
        self,
        method: Callable[[Any], Coroutine[Any, Any, Any]],
        request: Any,
        _timeout: float | None = None,
    ) -> Callable[[], Any]:
        future = asyncio.run_coroutine_threadsafe(method(request), self._loop)
        return lambda: future.result(30)


class LocalAccess:
    """The relays of several load balancers by the name of their host."""

    def __init__(self, clients: dict[str, LocalClient]) -> None:
        self.clients = clients

    def client(self, host_name: str) -> LocalClient:
        return self.clients[host_name]

    def typed(self) -> Access:
        """Return this as what a director's constructor takes."""
        return cast("Access", self)


@contextmanager
def local_relays(
    sockets: Mapping[str, Sequence[Path]], timeout: float = 2.0
) -> Iterator[LocalAccess]:
    """Run a relay for each host, on one event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield LocalAccess(
            {name: LocalClient(name, paths, timeout, loop) for name, paths in sockets.items()}
        )
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
