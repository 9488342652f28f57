"""From which host each shadow takes its state: the one that a controller named, and no other."""

from __future__ import annotations

from foreshadow.agent.store import Store
from foreshadow.domain.errors import AccessError

_KIND = "sync_source"


class Sources:
    """The source of each resource's state, as a controller named it last; a restart keeps it.

    A certificate says which agent calls. It does not say that this agent's host has the primary:
    only controllers know that.

    :param host: of the agent, for the error.
    """

    def __init__(self, host: str, store: Store) -> None:
        self._host = host
        self._store = store

    def of(self, resource: str) -> str:
        """Return the host that a shadow follows; empty before it was told."""
        return str(self._store.get(_KIND, resource) or "")

    def follow(self, resource: str, source: str) -> None:
        """Take state from this host from now on."""
        if self.of(resource) != source:
            self._store.put(_KIND, resource, source)

    def forget(self, resource: str) -> None:
        """Follow nobody."""
        self._store.remove(_KIND, resource)

    def check(self, resource: str, caller: str, *, only_asks: bool = False) -> None:
        """Refuse an agent whose host is not the one that is followed.

        :param only_asks: nothing is to be taken; answered also before a source was named.
        :raises AccessError: when it is another one, or none was named.
        """
        source = self.of(resource)
        if source == caller or (only_asks and not source):
            return
        raise AccessError(
            f"agent {caller} may not send state: "
            + (f"this shadow follows {source}" if source else "nobody named it the source"),
            where=f"resource {resource} on host {self._host}",
            remedy="a controller names the source: run state_sync if the primary is there",
        )
