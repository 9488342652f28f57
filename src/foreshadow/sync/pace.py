"""How much of the link a resource's state may use: a token bucket over all of its destinations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Holds senders back so that they stay below a rate.

    :param rate: bytes per second, more than zero; ``None`` does not hold anybody back.
    :param now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        rate: float | None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._now = now
        self._sleep = sleep
        self._free_at = now()

    def batch(self, largest: int) -> int:
        """Return how much to send at once, so that nobody waits much longer than a second."""
        return largest if self._rate is None else max(1, min(largest, int(self._rate)))

    async def take(self, size: int) -> None:
        """Wait until ``size`` bytes may go out."""
        if self._rate is None:
            return
        now = self._now()
        start = max(now, self._free_at)
        self._free_at = start + size / self._rate
        if start > now:
            await self._sleep(start - now)
