"""Waiting for Cloudflare: how long it asked for, and no longer than the action may take."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.units import format_duration
from foreshadow.wire.clock import system_time

_FIRST, _LONGEST = 0.5, 8.0
_PLENTY = 300
_ITEM = re.compile(r'"[^"]*"\s*;\s*r=(\d+)\s*;\s*t=(\d+)')


@dataclass(frozen=True, slots=True)
class Times:
    """Wall time for what is written down, monotonic time for waiting; tests own both."""

    now: WallClock = system_time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


def asked_wait(headers: Mapping[str, str], *, refused: bool) -> float:
    """Return for how many seconds Cloudflare wants no call.

    ``Retry-After`` comes with a refusal; ``Ratelimit`` with every answer, and counts here when
    nothing is left of a limit.
    """
    spent = [float(t) for r, t in _ITEM.findall(headers.get("ratelimit", "")) if int(r) == 0]
    if not refused:
        return max(spent, default=0.0)
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return max(spent, default=0.0)


def spacing(headers: Mapping[str, str]) -> float:
    """Return the seconds that should lie between two looks at the same, for the limit to last.

    Nothing while plenty is left; then half of the rest is left to whoever shares the limit.
    """
    left = [(int(r), float(t)) for r, t in _ITEM.findall(headers.get("ratelimit", ""))]
    return max((2 * t / max(r, 1) for r, t in left if r < _PLENTY), default=0.0)


class Quiet:
    """The time before which Cloudflare wants no call: it blocks who goes on asking."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._until = 0.0

    def extend(self, seconds: float) -> None:
        """Keep quiet for so long from now on."""
        if seconds > 0:
            self._until = max(self._until, self._times.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self._until - self._times.monotonic())


class Patience:
    """The time that one action has, with all its repetitions.

    :param where: for the error when it is over.
    """

    def __init__(self, times: Times, quiet: Quiet, seconds: float, where: str) -> None:
        self._times = times
        self._quiet = quiet
        self._seconds = seconds
        self._where = where
        self._end = times.monotonic() + seconds
        self._tries = 0

    def wait_for_turn(self) -> None:
        """Wait until Cloudflare takes calls again.

        :raises UnreachableError: at once, when that is later than the action may take.
        """
        if (wait := self._quiet.left()) <= 0:
            return
        if self._times.monotonic() + wait > self._end:
            raise UnreachableError(
                f"Cloudflare takes no calls for {format_duration(wait)}: too many were made",
                where=self._where,
                remedy="wait, or raise the director's deadline above that; the limit is 1,200 "
                "calls in 5 minutes over all of the user's tokens",
            )
        self._times.sleep(wait)

    def before_next_try(self, last: UnreachableError, least: float = 0.0) -> None:
        """Wait a little longer each time.

        :param least: seconds to wait in any case.
        :raises UnreachableError: the last one, when there is no time for another try.
        """
        wait = min(_LONGEST, _FIRST * 2**self._tries) * (0.5 + self._times.jitter() / 2)
        wait = max(wait, least)
        self._tries += 1
        if self._times.monotonic() + max(wait, self._quiet.left()) > self._end:
            self.wait_for_turn()
            raise last
        self._times.sleep(wait)
