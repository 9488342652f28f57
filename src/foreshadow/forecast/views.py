"""Three guesses at the usual course, each corrected by the recent past.

The structure is smooth and knows trend and events; what a series did one period before is noisy and
knows every habit; a level knows nothing, and leaves all to the correction, which is best where
there is no rhythm. Their errors differ, so a blend of them errs less than each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from foreshadow.forecast import direct, ridge
from foreshadow.forecast.batch import Batch, Cells, Points
from foreshadow.forecast.history import DAY, WEEK

State: TypeAlias = dict[str, npt.NDArray[Any]]
"""What is kept of a fit, as arrays by name."""


class View(Points, Protocol):
    """A course that is corrected by the recent past."""

    @property
    def directs(self) -> direct.Directs:
        """Return the regressions of what the course does not know."""
        ...

    def course(self, batch: Batch, first: int, last: int) -> Cells:
        """Return the course at cells ``first`` to ``last - 1``, which may lie beyond the end."""
        ...


@dataclass(frozen=True, slots=True)
class StructureView:
    """A structure with the regression of its residuals."""

    structures: ridge.Structures
    directs: direct.Directs

    def course(self, batch: Batch, first: int, last: int) -> Cells:
        """Return the course at cells ``first`` to ``last - 1``, which may lie beyond the end."""
        return self.structures.at(batch.middles(first, last))

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return points, see :class:`foreshadow.forecast.batch.Points`."""
        return _replayed(self, batch, first)


def fit_structure(
    batch: Batch, horizons: tuple[int, ...], shape: ridge.Shape, settings: direct.Settings
) -> StructureView:
    """Return the structure view of a batch."""
    structures = ridge.fit(batch, shape)
    course = structures.at(batch.middles(0, batch.cells + max(horizons)))
    residuals = batch.values - course[:, : batch.cells]
    return StructureView(structures, direct.fit(residuals, course, batch.step, horizons, settings))


@dataclass(frozen=True, slots=True)
class PeriodView:
    """The values one period before, with the regression of the changes since.

    :ivar weekly: of which series the period is a week, shape (series,); of the others it is a day.
    :ivar level: stands in where there is no value one period before, shape (series, 1).
    """

    weekly: npt.NDArray[np.bool_]
    level: Cells
    directs: direct.Directs

    def course(self, batch: Batch, first: int, last: int) -> Cells:
        """Return the course at cells ``first`` to ``last - 1``, at most a day beyond the end."""
        return before(batch, self.weekly, self.level, first, last)

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return points, see :class:`foreshadow.forecast.batch.Points`."""
        return _replayed(self, batch, first)


def fit_period(batch: Batch, horizons: tuple[int, ...], settings: direct.Settings) -> PeriodView:
    """Return the period view of a batch."""
    weekly = _repeats_weekly(batch)
    level = mean(batch)
    course = before(batch, weekly, level, 0, batch.cells + max(horizons))
    skipped = min(batch.cells_in(DAY), batch.cells // 2)
    residuals = batch.values - course[:, : batch.cells]
    directs = direct.fit(
        residuals[:, skipped:], course[:, skipped:], batch.step, horizons, settings
    )
    return PeriodView(weekly, level, directs)


@dataclass(frozen=True, slots=True)
class LevelView:
    """A constant, with the regression of what differs from it.

    :ivar level: shape (series, 1).
    """

    level: Cells
    directs: direct.Directs

    def course(self, batch: Batch, first: int, last: int) -> Cells:
        """Return the course at cells ``first`` to ``last - 1``, which may lie beyond the end."""
        return np.repeat(self.level, last - first, axis=1)

    def replay(self, batch: Batch, first: int) -> Cells:
        """Return points, see :class:`foreshadow.forecast.batch.Points`."""
        return _replayed(self, batch, first)


def fit_level(batch: Batch, horizons: tuple[int, ...], settings: direct.Settings) -> LevelView:
    """Return the level view of a batch."""
    level = mean(batch)
    course = np.repeat(level, batch.cells + max(horizons), axis=1)
    return LevelView(
        level, direct.fit(batch.values - level, course, batch.step, horizons, settings)
    )


def mean(batch: Batch) -> Cells:
    """Return the mean of what is known of each series, zero where nothing is, shape (series, 1)."""
    known = ~np.isnan(batch.values)
    total = np.where(known, batch.values, 0).sum(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(total / np.maximum(known.sum(axis=1, keepdims=True), 1), dtype=np.float32)


def state(fitted: tuple[View, ...]) -> State:
    """Return the coefficients of the three views of a fleet, as arrays by name."""
    structure, level, period = fitted
    if not isinstance(structure, StructureView) or not isinstance(period, PeriodView):
        raise TypeError("the views are not those of the fleet model")
    found: State = {
        "start": np.array(structure.structures.start),
        "span": np.array(structure.structures.span),
        "offset": structure.structures.offset,
        "deviation": structure.structures.scale,
        "coefficients": structure.structures.coefficients,
        "weekly": period.weekly,
        "level": period.level,
    }
    for name, view in (("structure", structure), ("level", level), ("period", period)):
        found[f"{name} scale"] = view.directs.scale
        found[f"{name} level"] = view.directs.level
        found[f"{name} weights"] = view.directs.weights
    return found


def restored(
    shape: ridge.Shape, batch: Batch, horizons: tuple[int, ...], cells: int, kept: State
) -> tuple[View, ...]:
    """Return the views of which :func:`state` was kept.

    :param cells: on how many cells they were fitted, which tells the seasons of the structure.
    """

    def directs(name: str) -> direct.Directs:
        scale, level, weights = (kept[f"{name} {part}"] for part in ("scale", "level", "weights"))
        return direct.Directs(batch.step, horizons, scale, level, weights)

    structures = ridge.Structures(
        shape.for_cells(batch.step, cells),
        float(kept["start"]),
        float(kept["span"]),
        kept["offset"],
        kept["deviation"],
        kept["coefficients"],
    )
    return (
        StructureView(structures, directs("structure")),
        LevelView(kept["level"], directs("level")),
        PeriodView(kept["weekly"], kept["level"], directs("period")),
    )


def before(
    batch: Batch, weekly: npt.NDArray[np.bool_], level: Cells, first: int, last: int
) -> Cells:
    """Return the values one period before cells ``first`` to ``last - 1``.

    Where that is a gap or lies in the future, it is the day before, or else the level.
    """
    course = _shifted(batch, batch.cells_in(DAY), first, last)
    if weekly.any():
        older = _shifted(batch, batch.cells_in(WEEK), first, last)[weekly]
        course[weekly] = np.where(np.isnan(older), course[weekly], older)
    return np.where(np.isnan(course), level, course)


def _shifted(batch: Batch, lag: int, first: int, last: int) -> Cells:
    found = np.full((len(batch), last - first), np.nan, dtype=np.float32)
    begin, end = max(first, lag), min(last, batch.cells + lag)
    if end > begin:
        found[:, begin - first : end - first] = batch.values[:, begin - lag : end - lag]
    return found


def _repeats_weekly(batch: Batch) -> npt.NDArray[np.bool_]:
    """Return which series repeat better after a week than after a day."""
    day, week = batch.cells_in(DAY), batch.cells_in(WEEK)
    if batch.cells < week + day:
        return np.zeros(len(batch), dtype=np.bool_)
    apart = []
    for lag in (day, week):
        gap = np.abs(batch.values[:, week:] - batch.values[:, week - lag : batch.cells - lag])
        known = ~np.isnan(gap)
        size = np.where(known, gap, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        apart.append(np.where(known.sum(axis=1) >= day // 2, size, np.inf))
    return np.asarray(apart[1] < apart[0])


def _replayed(view: View, batch: Batch, first: int) -> Cells:
    most = max(view.directs.horizons)
    course = view.course(batch, 0, batch.cells + most)
    filled = view.directs.fill(batch.values - course[:, : batch.cells])
    return corrected(view, batch, filled, course[:, first:], first)


def corrected(view: View, batch: Batch, filled: Cells, course: Cells, first: int) -> Cells:
    """Return the course plus what the recent past adds, shape (series, origins, horizons).

    :param filled: residuals as features, up to the last origin.
    :param course: from ``first`` to the largest horizon beyond the last origin.
    """
    expected = view.directs.ahead(filled, course, first)
    origins = expected.shape[1]
    for k, horizon in enumerate(view.directs.horizons):
        expected[:, :, k] += course[:, horizon : horizon + origins]
    return np.asarray(batch.clipped(expected), dtype=np.float32)
