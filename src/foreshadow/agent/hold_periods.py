"""For how long requests were held: from the order to HAProxy until it shows that it let go."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Place = tuple[str, str]
"""A socket and a backend behind it."""


@dataclass(frozen=True, slots=True)
class _Period:
    """One process holds requests, in seconds of a clock that only goes forward."""

    pid: int
    since: float
    until: float


class HoldPeriods:
    """The periods of one agent's HAProxy processes; none outlives the agent.

    :param clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._periods: dict[Place, _Period] = {}

    def begun(self, place: Place, pid: int, began: float, seconds: float) -> None:
        """Remember since when requests are held; one that is held already goes on.

        :param began: when the process was about to be told.
        :param seconds: after which it ends by itself; 0: they are no longer held.
        """
        before = self._periods.pop(place, None)
        if not seconds:
            return
        goes_on = before is not None and before.pid == pid and began < before.until
        since = before.since if before is not None and goes_on else began
        self._periods[place] = _Period(pid, since, began + seconds)

    def ended(self, place: Place, pid: int) -> float:
        """Return the seconds for which requests were held up to now; 0 when that is not known."""
        period = self._periods.pop(place, None)
        if period is None or period.pid != pid:
            return 0.0
        return min(self.clock(), period.until) - period.since
