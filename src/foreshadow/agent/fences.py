"""Fencing tokens: an actor that is late finds that a newer one has been here."""

from __future__ import annotations

from foreshadow.agent.store import Store
from foreshadow.domain.errors import FencedError

_KIND = "fence"
_PEERS = "sync_fence"


class Fences:
    """The highest token that this agent has seen for each resource; it only ever grows.

    What another agent brings with state is remembered apart: it holds off an older source of state,
    and never a controller, whose next token makes it forgotten.

    :param host: of the agent, for the error.
    """

    def __init__(self, host: str, store: Store) -> None:
        self._host = host
        self._store = store

    def newest(self, resource: str) -> int:
        """Return the highest token seen for a resource; 0 before the first."""
        return int(self._store.get(_KIND, resource) or 0)

    def check(self, resource: str, token: int) -> None:
        """Remember a newer token of a controller; refuse an older one.

        :raises FencedError: when a newer token has been seen.
        """
        newest = self.newest(resource)
        self._refuse_older(resource, token, newest)
        if token > newest:
            self._store.put(_KIND, resource, token)
            self._store.put(_PEERS, resource, token)

    def check_peer(self, resource: str, token: int, *, only_asks: bool = False) -> None:
        """Remember a newer token of an agent that sends state; refuse an older one.

        :param only_asks: nothing is to be taken: the token holds off nobody.
        :raises FencedError: when a newer token has been seen, from whomever.
        """
        newest = max(self.newest(resource), int(self._store.get(_PEERS, resource) or 0))
        self._refuse_older(resource, token, newest)
        if token > newest and not only_asks:
            self._store.put(_PEERS, resource, token)

    def _refuse_older(self, resource: str, token: int, newest: int) -> None:
        if token < newest:
            raise FencedError(
                f"fencing token {token} is older than {newest}",
                where=f"resource {resource} on host {self._host}",
                remedy="somebody else has taken over and nothing was done: look, then run it again",
            )
