"""Keeping the lease while working: renewed in the background, checked before every action."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import FencedError, ForeshadowError
from foreshadow.domain.moves import Lease
from foreshadow.ledger import Ledger

TTL = 15.0
"""Seconds for which a lease holds without being renewed."""


class LeaseKeeper:
    """Holds the lease on one resource for the length of a ``with`` block.

    :param holder: who this process is, as the ledger names holders.
    :param is_dead: whether the process behind another holder is known to be gone: its lease is
        taken over at once.
    :param ttl: seconds; the lease is renewed three times in it.
    """

    def __init__(
        self,
        ledger: Ledger,
        resource: str,
        holder: str,
        is_dead: Callable[[str], bool],
        now: WallClock,
        ttl: float = TTL,
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._ttl = ttl
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._lost: ForeshadowError | None = None
        self._lease = ledger.acquire(resource, holder, ttl, is_dead)
        self._thread = threading.Thread(target=self._keep, name=f"lease-{resource}", daemon=True)

    @property
    def lease(self) -> Lease:
        """Return the lease as it was last renewed."""
        with self._lock:
            return self._lease

    @property
    def token(self) -> int:
        """Return the fencing token that every action carries."""
        return self.lease.token

    def check(self) -> None:
        """Return when the lease is still ours.

        A process that was stopped past its lease and wakes up does not trust its memory: it asks
        the ledger, which knows whether somebody else has been there.

        :raises FencedError: when it is lost.
        """
        if self._lost is None and self._now() >= self.lease.expires_at:
            self._renew()
        if self._lost is not None:
            raise self._lost

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._lost is None:
            self._ledger.release(self.lease)

    def _keep(self) -> None:
        while not self._done.wait(self._ttl / 3):
            self._renew()
            if self._lost is not None:
                return

    def _renew(self) -> None:
        """Renew once. A ledger that does not answer is no loss yet: the lease still runs."""
        with self._lock:
            try:
                self._lease = self._ledger.renew(self._lease, self._ttl)
            except FencedError as error:
                self._lost = error
            except ForeshadowError as error:
                if self._now() >= self._lease.expires_at:
                    self._lost = FencedError(
                        f"the lease ran out while the ledger did not answer ({error})",
                        where=f"resource {self._lease.resource}",
                        remedy="run recover when the ledger is back",
                    )
