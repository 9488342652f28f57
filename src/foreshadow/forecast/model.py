"""Prophet's structure with the residual model on top, refitted at fixed boundaries.

A boundary is a multiple of the refit interval since 1970, and a fit sees only what ended before
it. So the fits that a backtest needs are the very fits that made the past forecasts, each is made
once, and its coefficients are kept under a digest of the data that it saw.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from blake3 import blake3

from foreshadow.forecast import prophet, residual
from foreshadow.forecast.history import DAY, WEEK, Array, History, Index
from foreshadow.forecast.intervals import hourly_spread
from foreshadow.forecast.structure import Structure

NAME = "prophet+ar"
REFIT = 2 * DAY
FIT_WINDOW = 21 * DAY
FIT_SPAN = 1.9 * DAY
"""Below about two days there is no daily cycle to be seen twice."""

Fit = Callable[[History], Structure]


class Shelf(Protocol):
    """Where fitted coefficients are kept between runs."""

    def get(self, key: str) -> str | None:
        """Return the text under a key, or ``None``."""
        ...

    def put(self, key: str, text: str) -> None:
        """Keep a text under a key."""
        ...


class Memory:
    """A shelf for as long as the process runs."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """Return the text under a key, or ``None``."""
        return self._texts.get(key)

    def put(self, key: str, text: str) -> None:
        """Keep a text under a key."""
        self._texts[key] = text


@dataclass(frozen=True, slots=True)
class Fold:
    """A model fitted on what ended at or before ``boundary``.

    Two views of the usual course are corrected by the recent past, and averaged: Prophet's
    structure, and what the metric itself did one period before.

    :ivar structure: Prophet's coefficients.
    :ivar period: cells of the period, a day or a week, after which the metric repeats better.
    :ivar around_structure: the model of the residuals of the structure.
    :ivar around_period: the model of the changes since one period before; ``None`` when the history
        is shorter than that.
    :ivar spread: usual size of the residuals by hour of day, shape (24,).
    """

    boundary: float
    structure: Structure
    period: int
    around_structure: residual.ResidualModel
    around_period: residual.ResidualModel | None
    spread: Array

    def predict(self, history: History, origins: Index) -> Array:
        """Return the predictions after each origin, shape (origins, horizons).

        :param origins: indices of the last known cell; nothing after it is used.
        """
        structure, repeated = usual(history, self.structure, self.period, self.most)
        views = [self._view(history.values, structure, self.around_structure, origins)]
        if self.around_period is not None:
            views.append(self._view(history.values, repeated, self.around_period, origins))
        return np.asarray(np.maximum(np.mean(views, axis=0), 0.0))

    @property
    def most(self) -> int:
        """Return the largest horizon, in cells."""
        return max(self.around_structure.horizons)

    def _view(
        self, values: Array, course: Array, model: residual.ResidualModel, origins: Index
    ) -> Array:
        expected = model.ahead(values - course[: len(values)], course, origins)
        return np.asarray(course[self.targets(origins)] + expected)

    def targets(self, origins: Index) -> Index:
        """Return the indices of the cells that are predicted, shape (origins, horizons)."""
        ahead = np.asarray(self.around_structure.horizons, dtype=np.int64)
        return np.asarray(origins[:, None] + ahead[None, :])

    def spreads(self, history: History, origins: Index) -> Array:
        """Return the spread to expect at each target, shape (origins, horizons)."""
        middle = history.start + (self.targets(origins) - 0.5) * history.step
        return np.asarray(self.spread[(middle // 3600 % 24).astype(np.int64)])


def usual(history: History, structure: Structure, period: int, most: int) -> tuple[Array, Array]:
    """Return the two views of the usual course, both on the history and ``most`` cells beyond.

    The second is the history itself, one period later; where that is a gap, or lies in the future,
    it is as the first.
    """
    count = len(history.values) + most
    cells = np.arange(count, dtype=np.float64)
    first = structure.at(history.start + (cells - 0.5) * history.step)
    second = first.copy()
    reach = min(count, len(history.values) + period)
    before = history.values[: max(0, reach - period)]
    second[period:reach] = np.where(np.isnan(before), second[period:reach], before)
    return first, second


def boundaries(history: History, span: float) -> list[float]:
    """Return the boundaries of the last ``span`` seconds that leave enough to fit on, rising.

    The last one serves forecasts from the end of the history; when the history is too young for
    any, it is the end of the history itself.
    """
    begin = history.start - history.step
    last = math.floor(history.end / REFIT)
    first = math.ceil((history.end - span) / REFIT)
    found = [k * REFIT for k in range(first, last + 1) if k * REFIT - begin >= FIT_SPAN]
    return found or [float(history.end)]


def fold_at(
    history: History, boundary: float, horizons: tuple[int, ...], shelf: Shelf, fit: Fit
) -> Fold:
    """Return the model of a boundary, from the shelf or fitted now.

    :raises RuntimeError: when the fit fails.
    """
    seen = history.up_to(boundary, FIT_WINDOW)
    structure = _kept(seen, shelf, fit)
    period, repeats = _period(seen)
    course, repeated = usual(seen, structure, period, 0)
    residuals = seen.values - course
    around_structure = residual.fit(residuals, course, seen.step, horizons)
    around_period = None
    if repeats:
        change, later = (seen.values - repeated)[period:], repeated[period:]
        around_period = residual.fit(change, later, seen.step, horizons)
    spread = hourly_spread(seen.times - seen.step / 2, residuals)
    return Fold(boundary, structure, period, around_structure, around_period, spread)


def _period(seen: History) -> tuple[int, bool]:
    """Return the period in cells after which the values repeat better, and whether any is seen."""
    found: list[tuple[float, int]] = []
    for lag in (seen.cells(DAY), seen.cells(WEEK)):
        apart = np.abs(seen.values[lag:] - seen.values[:-lag])
        if (~np.isnan(apart)).sum() >= lag // 2 and len(apart) >= seen.cells(DAY):
            found.append((float(np.nanmean(apart)), lag))
    return (min(found)[1], True) if found else (seen.cells(DAY), False)


def _kept(seen: History, shelf: Shelf, fit: Fit) -> Structure:
    what = f"{prophet.VERSION} {seen.start} {seen.step} ".encode() + seen.values.tobytes()
    key = f"structure:{blake3(what).hexdigest(16)}"
    text = shelf.get(key)
    if text is not None:
        with contextlib.suppress(ValueError, TypeError, LookupError):  # it cannot be read
            return Structure.loads(text)
    structure = fit(seen)
    shelf.put(key, structure.dumps())
    return structure
