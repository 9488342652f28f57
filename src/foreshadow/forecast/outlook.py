"""What a forecast says, as plain values: a path of quantiles, and how far it has proved itself."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Block, Blocked, Gate, Model

UNFIT = (RuntimeError, ValueError, OSError)
"""What a fit raises where it fails: an optimiser, linear algebra, a temporary folder."""


def unfit(error: Exception) -> Blocked:
    """Return why there is no forecast where a fit failed, in one line."""
    line = str(error).strip().splitlines()
    why = line[0] if line else type(error).__name__
    return Blocked(Block.METRICS, f"the model cannot be fitted: {why[:160]}")


@dataclass(frozen=True, slots=True)
class Quantiles:
    """One future value as a distribution.

    :ivar at: metric time that the value is about: the middle of its cell.
    :ivar point: the expected value.
    :ivar levels: rising, in 0..1.
    :ivar values: the quantile at each level, base units.
    """

    at: MetricTime
    point: float
    levels: tuple[float, ...]
    values: tuple[float, ...]

    def quantile(self, level: float) -> float:
        """Return a quantile, interpolated between the levels that are known."""
        return _interpolated(level, self.levels, self.values)

    def exceeds(self, threshold: float) -> float:
        """Return the probability that the value is above a threshold."""
        return 1 - _interpolated(threshold, self.values, self.levels)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the trigger model says.

    :ivar probability: that a breach begins within the hour, calibrated.
    :ivar stands: an alarm is on: it was raised within the last hour, and not taken back.
    :ivar needed: the probability from which on an alarm is raised.
    :ivar onsets: on how many breaches the model rests.
    """

    probability: float
    stands: bool
    needed: float
    onsets: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """The forecast of one metric.

    :ivar path: rising in time; covers the horizon.
    :ivar margin: by how much a threshold has to be passed for an alarm, base units.
    :ivar alarm: what the trigger model says; ``None`` while there is none, and the margin decides.
    """

    path: tuple[Quantiles, ...]
    gate: Gate
    model: Model
    margin: float = 0.0
    alarm: Alarm | None = None

    def between(self, start: MetricTime, end: MetricTime) -> tuple[Quantiles, ...]:
        """Return the path in ``(start, end]``, with the value that is reached at ``end`` itself.

        A path that begins later gives its first value: it is what is known soonest.
        """
        coming = [q for q in self.path if q.at > start]
        within = [q for q in coming if q.at <= end]
        if not within:
            return tuple(coming[:1])
        if len(within) == len(coming) or within[-1].at == end:
            return tuple(within)
        return (*within, _on_the_way(within[-1], coming[len(within)], end))

    def highest(self, quantile: float, start: MetricTime, end: MetricTime) -> float:
        """Return the highest value of a quantile in ``(start, end]``."""
        return max(q.quantile(quantile) for q in self.between(start, end))

    def scaled(self, factor: float) -> Outlook:
        """Return the outlook of the metric times a factor."""
        path = tuple(
            replace(q, point=q.point * factor, values=tuple(v * factor for v in q.values))
            for q in self.path
        )
        return replace(self, path=path, margin=self.margin * factor)


def _on_the_way(before: Quantiles, after: Quantiles, at: MetricTime) -> Quantiles:
    """Return the distribution at a time between two, quantile by quantile."""
    share = (at - before.at) / (after.at - before.at)
    values = zip(before.values, after.values, strict=True)
    return Quantiles(
        at,
        before.point + (after.point - before.point) * share,
        before.levels,
        tuple(low + (high - low) * share for low, high in values),
    )


def _interpolated(x: float, xs: tuple[float, ...], ys: tuple[float, ...]) -> float:
    if x <= xs[0]:
        return ys[0]
    if x > xs[-1]:
        return ys[-1]
    k = bisect_left(xs, x)
    if xs[k] == xs[k - 1]:
        return ys[k]
    return ys[k - 1] + (ys[k] - ys[k - 1]) * (x - xs[k - 1]) / (xs[k] - xs[k - 1])
