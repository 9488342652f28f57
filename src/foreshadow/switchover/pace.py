"""Waiting and trying again, with a deadline, and never past a safe point.

Everything that takes time in a switchover goes through :class:`Pace`, so that a lost lease or a
wish to stop is noticed between any two actions, and tests own the time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import ForeshadowError, SyncError, UnreachableError
from foreshadow.wire.clock import system_time

T = TypeVar("T")

SLICE = 0.1
"""Seconds that may pass until a wish to stop is noticed while waiting."""

RETREAT = 4.0
"""Seconds that are left to undo, once somebody asked to stop."""

PASSING: tuple[type[ForeshadowError], ...] = (UnreachableError, SyncError)
"""What may be over at the next try: a peer that did not answer, a round that broke off."""


class StoppedError(ForeshadowError):
    """Somebody asked to stop, and the work is at a point at which it can."""

    code = "stopped"


@dataclass(frozen=True, slots=True)
class Clock:
    """The times that a switchover needs: wall time for the record, monotonic time for waiting."""

    now: WallClock = system_time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


@dataclass(slots=True)
class Stop:
    """A wish to stop, from a signal handler for one; asking twice is asking once."""

    monotonic: Callable[[], float] = time.monotonic
    asked_at: float | None = None

    def ask(self) -> None:
        """Ask to stop at the next safe point."""
        if self.asked_at is None:
            self.asked_at = self.monotonic()


@dataclass(slots=True)
class Pace:
    """How fast to wait, how long to try, and whether to go on at all.

    :ivar still_ours: raises when the lease is lost; asked at every safe point.
    :ivar retreating: true while undoing: a wish to stop then only bounds what is left.
    """

    clock: Clock
    still_ours: Callable[[], None]
    stop: Stop = field(default_factory=Stop)
    retreating: bool = False

    def safe_point(self) -> None:
        """Return when the next action may be taken.

        :raises StoppedError: when somebody asked to stop.
        :raises FencedError: when the lease is lost.
        """
        self.still_ours()
        if self.stop.asked_at is None:
            return
        asked = self.clock.monotonic() - self.stop.asked_at
        if not self.retreating or asked > RETREAT:
            raise StoppedError("stopped on request")

    def sleep(self, seconds: float) -> None:
        """Let time pass, with a safe point in every slice of it."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            self.safe_point()
            self.clock.sleep(min(left, SLICE))
        self.safe_point()

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Ask again, ever more slowly, until it holds; return whether it did within the time."""
        end = self.clock.monotonic() + seconds
        pause = 0.005
        while not holds():
            left = end - self.clock.monotonic()
            if left <= 0:
                return False
            self.sleep(min(pause, left))
            pause = min(pause * 1.6, SLICE)
        return True

    def retry(
        self,
        action: Callable[[], T],
        seconds: float,
        passing: tuple[type[ForeshadowError], ...] = PASSING,
        never: tuple[type[ForeshadowError], ...] = (),
    ) -> T:
        """Try an action until it works; past the deadline, raise what the last try raised.

        :param passing: the errors that are worth another try.
        :param never: those among them that are not.
        """
        end = self.clock.monotonic() + seconds
        pause = 0.05
        while True:
            try:
                return action()
            except passing as error:
                if isinstance(error, never) or self.clock.monotonic() + pause > end:
                    raise
            self.sleep(pause * (0.5 + self.clock.jitter() / 2))
            pause = min(pause * 2, 1.0)
