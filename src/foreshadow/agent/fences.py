"""Fencing tokens: an actor that is late finds that a newer one has been here."""

from __future__ import annotations

from foreshadow.agent.store import Store
from foreshadow.domain.errors import FencedError

_KIND = "fence"


class Fences:
    """The highest token that this agent has seen for each resource; it only ever grows.

    :param host: of the agent, for the error.
    """

    def __init__(self, host: str, store: Store) -> None:
        self._host = host
        self._store = store

    def newest(self, resource: str) -> int:
        """Return the highest token seen for a resource; 0 before the first."""
        return int(self._store.get(_KIND, resource) or 0)

    def check(self, resource: str, token: int) -> None:
        """Remember a newer token; refuse an older one.

        :raises FencedError: when a newer token has been seen.
        """
        newest = self.newest(resource)
        if token < newest:
            raise FencedError(
                f"fencing token {token} is older than {newest}",
                where=f"resource {resource} on host {self._host}",
                remedy="somebody else has taken over and nothing was done: look, then run it again",
            )
        if token > newest:
            self._store.put(_KIND, resource, token)
