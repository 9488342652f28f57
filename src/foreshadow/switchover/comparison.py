"""The destination against the source, as the directors count what they serve to clients.

Counters only grow, and begin anew when a director's server is reloaded. What was counted between
two readings is the difference of them; what it took on average is worked out of a moving mean, and
the less of the mean is new the less it says. A verdict needs enough requests, and then takes the
side of the destination in what is uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from foreshadow.domain.policy import SoakLimits
from foreshadow.domain.protocols import Endpoint, Served

_CERTAIN = 2.326
"""Standard deviations: the share of failures is above what is told in 99 of 100 cases."""

_DOUBT = math.log(100)
"""The same for means, as Bernstein's inequality takes it: ln(1 / 0.01)."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a host served in a while.

    :ivar seconds: mean to the first byte, of ``answered``; ``unsure`` is how far off it may be.
    :ivar slowest: seconds that none has ever taken longer than.
    """

    requests: int = 0
    failed: int = 0
    answered: int = 0
    seconds: float = 0.0
    unsure: float = 0.0
    slowest: float = 0.0

    @property
    def share(self) -> float:
        """Return the share of requests that failed."""
        return self.failed / self.requests if self.requests else 0.0

    @property
    def surely(self) -> float:
        """Return the share of failures that is exceeded with confidence (Wilson's lower bound)."""
        if not self.requests:
            return 0.0
        share, n, z = min(1.0, self.share), self.requests, _CERTAIN
        middle = share + z * z / (2 * n)
        spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + z * z / n))

    def __add__(self, other: Tally) -> Tally:
        answered = self.answered + other.answered

        def mean(mine: float, its: float) -> float:
            return (mine * self.answered + its * other.answered) / answered if answered else 0.0

        return Tally(
            self.requests + other.requests,
            self.failed + other.failed,
            answered,
            mean(self.seconds, other.seconds),
            mean(self.unsure, other.unsure),
            max(self.slowest, other.slowest),
        )

    def __str__(self) -> str:
        if not self.requests:
            return "no request"
        plural = "" if self.requests == 1 else "s"
        return f"{self.requests} request{plural}, {self.failed} failed, {_ms(self.seconds)}"


@dataclass(slots=True)
class Counts:
    """What each host served since it was first looked at, by one reading after the other."""

    _first: dict[tuple[int, str, str], Served] = field(default_factory=dict)
    _last: dict[tuple[int, str, str], Served] = field(default_factory=dict)
    _before: dict[str, Tally] = field(default_factory=dict)
    _looked: bool = False

    def see(self, endpoints: Sequence[Endpoint]) -> None:
        """Take a reading: of all servers of all directors, always in the same order."""
        for number, endpoint in enumerate(endpoints):
            for host, served in endpoint.served.items():
                key = (number, endpoint.name, host)
                last = self._last.get(key)
                if last is None:
                    # One that had served nothing at the first look is not told by its server.
                    began = Served(served.epoch, 0, 0, 0, 0.0) if self._looked else served
                    self._first[key] = began
                elif last.epoch != served.epoch or last.requests > served.requests:
                    so_far = between(self._first[key], last)
                    self._before[host] = self._before.get(host, Tally()) + so_far
                    self._first[key] = Served(served.epoch, 0, 0, 0, 0.0)
                self._last[key] = served
        self._looked = True

    def tally(self, host: str) -> Tally:
        """Return what a host served since the first reading."""
        total = self._before.get(host, Tally())
        for key, last in self._last.items():
            if key[2] == host:
                total += between(self._first[key], last)
        return total

    def ever(self, host: str) -> Tally:
        """Return all that the servers have counted of a host."""
        total = Tally()
        for key, last in self._last.items():
            if key[2] == host:
                total += between(Served(last.epoch, 0, 0, 0, 0.0), last)
        return total

    @property
    def counted(self) -> bool:
        """Return whether any server counts at all."""
        return bool(self._last)


def between(first: Served, last: Served) -> Tally:
    """Return what was served between two readings of one counting."""
    answered = last.answered - first.answered
    seconds, unsure = _mean(first, last) if answered > 0 else (0.0, 0.0)
    return Tally(
        requests=last.requests - first.requests,
        failed=last.failed - first.failed,
        answered=answered,
        seconds=seconds,
        unsure=unsure,
        slowest=last.slowest,
    )


def _mean(first: Served, last: Served) -> tuple[float, float]:
    """Return the mean of the answers since the first reading, and how far off it may be.

    Up to ``window`` answers HAProxy's mean is that of all; from there on each answer takes the
    place of a share of ``1 / window`` of what was there.
    """
    size = min(last.window, last.answered)
    held = min(first.answered, size)
    beyond = last.answered - max(first.answered, size)
    kept = (1 - 1 / size) ** beyond
    old = kept * held / size
    new = (1 - kept) + kept * (size - held) / size
    seconds = (last.latency - old * first.latency) / new
    return max(0.0, seconds), last.precision * (1 + old) / new


def worse(shadow: Tally, primary: Tally, limits: SoakLimits, promised: float | None = None) -> str:
    """Return in what the shadow is worse than it may be, or nothing.

    :param promised: seconds below which the decision promised its latency to be.
    """
    if shadow.requests >= limits.requests and limits.errors is not None:
        allowed = primary.share + limits.errors
        if shadow.surely > allowed:
            return (
                f"{shadow.share:.1%} of {shadow.requests} requests fail, where "
                f"{primary.share:.1%} did before; policy.soak_limits allows {allowed:.1%}"
            )
    if shadow.answered < limits.requests:
        return ""
    at_least = shadow.seconds - shadow.unsure
    if limits.latency_increase is not None and primary.answered >= limits.requests:
        usual = primary.seconds + primary.unsure
        allowed = usual * (1 + limits.latency_increase) + limits.latency_slack
        allowed += _chance(usual, primary.slowest, shadow.answered)
        if at_least > allowed:
            return (
                f"answers in {_ms(shadow.seconds)} on average, where it was "
                f"{_ms(primary.seconds)} before; policy.soak_limits allows {_ms(allowed)}"
            )
    slowest = max(primary.slowest, shadow.slowest)
    if promised is not None and at_least > promised + _chance(promised, slowest, shadow.answered):
        return (
            f"answers in {_ms(shadow.seconds)} on average; the decision promised less than "
            f"{_ms(promised)}"
        )
    return ""


def _chance(mean: float, slowest: float, answers: int) -> float:
    """Return by how many seconds a mean of so many answers may be too high by chance.

    Answers that lie between nothing and the slowest one vary by no more than their mean allows
    (Bhatia and Davis), and their mean strays no further than Bernstein's inequality says, but in
    one case of a hundred. A few requests that take seconds are in this way no sign of anything.
    """
    if slowest <= mean:
        return 0.0
    variance = mean * (slowest - mean)
    return math.sqrt(2 * variance * _DOUBT / answers) + slowest * _DOUBT / (3 * answers)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
