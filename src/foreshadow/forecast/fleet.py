"""The fleet model: three views of the usual course of each series, blended, with honest quantiles.

All series of a batch are fitted together, and followed together. At its first fit the model looks
back: it fits itself at some boundaries of the last week, sees how wrong each view would have been,
and weighs the views by it. From then on it remembers its own errors, across refits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from foreshadow.forecast import direct, ridge, views
from foreshadow.forecast.batch import Batch, Cells, Fit
from foreshadow.forecast.following import Following, Tail
from foreshadow.forecast.history import DAY, Array
from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.memory import Memory
from foreshadow.forecast.parts import Parts, parts_of

NAME = "fleet"
WINDOW = 14 * DAY
"""How much of the past is fitted on."""
LOOK_BACK = 7 * DAY
_LEAST = 1.9 * DAY
"""Below about two days there is no daily cycle to be seen twice."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The model and its settings.

    :ivar shape: of the structure.
    :ivar settings: of the regressions of what it does not know.
    :ivar cadence: seconds between the boundaries at which it looks back.
    """

    shape: ridge.Shape = field(default_factory=ridge.Shape)
    settings: direct.Settings = field(default_factory=direct.Settings)
    cadence: float = 2 * DAY
    name: str = NAME

    def fit(self, batch: Batch, horizons: tuple[int, ...]) -> Fit:
        """Return the fit of all series, which the newest cells of a batch are enough for."""
        found = [(rows, FleetFit.begin(self, part, horizons)) for rows, part in parts_of(batch)]
        return Parts(len(batch), horizons, found)

    def views(self, batch: Batch, horizons: tuple[int, ...]) -> tuple[views.View, ...]:
        """Return the views of a batch."""
        return (
            views.fit_structure(batch, horizons, self.shape, self.settings),
            views.fit_level(batch, horizons, self.settings),
            views.fit_period(batch, horizons, self.settings),
        )


class FleetFit:
    """Some series that are as old as each other, fitted together."""

    def __init__(
        self, model: Fleet, batch: Batch, horizons: tuple[int, ...], memory: Memory
    ) -> None:
        self._model = model
        self._horizons = horizons
        self._grid = batch
        keep = batch.cells_in(WINDOW)
        self._tail = Tail(batch.values, keep, batch.cells_in(DAY))
        self._newest = batch.end
        self.memory = memory
        self.refit()

    @classmethod
    def begin(cls, model: Fleet, batch: Batch, horizons: tuple[int, ...]) -> FleetFit:
        """Return a fit that knows how wrong it would have been."""
        return cls(model, batch, horizons, _looked_back(model, batch, horizons))

    @property
    def horizons(self) -> tuple[int, ...]:
        """Return how many cells ahead are predicted."""
        return self._horizons

    def refit(self) -> None:
        """Fit again on the newest window; what is known of past errors is kept."""
        batch = self._batch()
        self._following = [
            Following(view, batch) for view in self._model.views(batch, self._horizons)
        ]
        self.memory.refresh()
        self._predict()

    def update(self, values: Cells) -> None:
        """Take in new cells, shape (series, new cells), without fitting again."""
        for column in np.asarray(values, dtype=np.float32).T:
            self.memory.learn(column)
            self._tail.append(column)
            self._newest += self._grid.step
            batch = self._batch()
            for following in self._following:
                following.append(batch)
            self._predict()

    def points(self) -> Cells:
        """Return what is expected from the newest cell, shape (series, horizons)."""
        return self.memory.blended(self._said)

    def predict(self, levels: tuple[float, ...] = LEVELS) -> Array:
        """Return quantiles from the newest cell, shape (series, horizons, levels)."""
        values = self.points()[:, :, None] + self.memory.tracking.quantiles
        return np.asarray(self._grid.clipped(at_levels(values, levels)), dtype=np.float64)

    def _predict(self) -> None:
        batch = self._batch()
        said = [following.points(batch) for following in self._following]
        said.append(_last(batch, len(self._horizons)))
        self._said = np.stack(said)
        self.memory.say(self._said)

    def _batch(self) -> Batch:
        cells = self._tail.cells
        start = self._newest - (cells.shape[1] - 1) * self._grid.step
        return replace(self._grid, start=start, values=cells)


def at_levels(values: Cells, levels: tuple[float, ...]) -> Cells:
    """Return quantiles at other levels than LEVELS, interpolated along the last axis."""
    if levels == LEVELS:
        return values
    wanted, known = np.clip(np.asarray(levels), LEVELS[0], LEVELS[-1]), np.asarray(LEVELS)
    high = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = ((wanted - known[high - 1]) / (known[high] - known[high - 1])).astype(np.float32)
    below, above = values[..., high - 1], values[..., high]
    return np.asarray(below + share * (above - below))


def _last(batch: Batch, horizons: int) -> Cells:
    """Return the last known value of each series for each horizon."""
    values = batch.values[:, -1].copy()
    for row in np.flatnonzero(np.isnan(values)):
        known = np.flatnonzero(~np.isnan(batch.values[row]))
        values[row] = batch.values[row, known[-1]] if len(known) else 0.0
    return np.repeat(values[:, None], horizons, axis=1)


def _looked_back(model: Fleet, batch: Batch, horizons: tuple[int, ...]) -> Memory:
    """Return the memory of what the model would have said in the last week."""
    memory = Memory.of(len(batch), horizons, members=4, kept=batch.cells_in(LOOK_BACK))
    cadence, window = batch.cells_in(model.cadence), batch.cells_in(WINDOW)
    begin = max(batch.cells - batch.cells_in(LOOK_BACK), batch.cells_in(_LEAST))
    for boundary in range(begin, batch.cells, cadence):
        first, last = max(0, boundary - window), min(boundary + cadence, batch.cells)
        fitted = model.views(batch.cut(first, boundary), horizons)
        seen = batch.cut(first, last)
        origin = boundary - 1 - first
        said = [view.replay(seen, origin)[:, :-1] for view in fitted]
        said.append(_lasts(seen, origin, len(horizons))[:, :-1])
        memory.replayed(np.stack(said), batch.values[:, boundary:])
    return memory


def _lasts(batch: Batch, first: int, horizons: int) -> Cells:
    values = batch.values
    cells = np.where(np.isnan(values), 0, np.arange(batch.cells))
    newest = np.maximum.accumulate(cells, axis=1)[:, first:]
    found = np.nan_to_num(np.take_along_axis(values, newest, axis=1))
    return np.repeat(found[:, :, None], horizons, axis=2)
