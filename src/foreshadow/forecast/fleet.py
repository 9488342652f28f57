"""The fleet model: three views of the usual course of each series, blended, with honest quantiles.

All series of a batch are fitted together, and followed together. At its first fit the model looks
back: it fits itself at some boundaries of the last week, sees how wrong each view would have been,
and weighs the views by it. From then on it remembers its own errors, across refits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from foreshadow.forecast import direct, ridge, views
from foreshadow.forecast.baselines import naive
from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.following import SPARE, Following, Tail
from foreshadow.forecast.history import DAY, WEEK, Array, Index
from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.memory import Memory
from foreshadow.forecast.parts import parts_of
from foreshadow.forecast.views import State

NAME = "fleet"
WINDOW, COARSE_WINDOW = 14 * DAY, 21 * DAY
"""How much of the past is fitted on: more where a day has few cells."""
_COARSE = 1800.0
LOOK_BACK = 7 * DAY
_LEAST = 1.9 * DAY
"""Below about two days there is no daily cycle to be seen twice."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The model and its settings.

    :ivar shape: of the structure; ``coarse`` where a day has few cells: it may then take longer to
        change, and tell each hour of the week apart.
    :ivar settings: of the regressions of what it does not know.
    :ivar cadence: seconds between the boundaries at which it looks back.
    """

    shape: ridge.Shape = field(default_factory=ridge.Shape)
    coarse: ridge.Shape = field(
        default_factory=lambda: ridge.Shape(
            seasons=((DAY, 10), (WEEK, 42)), season_prior=0.1, half_life=20 * DAY
        )
    )
    settings: direct.Settings = field(default_factory=direct.Settings)
    cadence: float = 2 * DAY

    def fit(self, batch: Batch, horizons: tuple[int, ...]) -> list[tuple[Index, FleetFit]]:
        """Return the rows and the fit of each part of a batch: of series as old as each other."""
        return [(rows, FleetFit.begin(self, part, horizons)) for rows, part in parts_of(batch)]

    def shape_of(self, batch: Batch) -> ridge.Shape:
        """Return the shape that suits the step of a batch."""
        return self.coarse if batch.step >= _COARSE else self.shape

    def views(self, batch: Batch, horizons: tuple[int, ...]) -> tuple[views.View, ...]:
        """Return the views of a batch."""
        return (
            views.fit_structure(batch, horizons, self.shape_of(batch), self.settings),
            views.fit_level(batch, horizons, self.settings),
            views.fit_period(batch, horizons, self.settings),
        )


class FleetFit:
    """Some series that are as old as each other, fitted together and followed."""

    def __init__(
        self, model: Fleet, batch: Batch, horizons: tuple[int, ...], memory: Memory
    ) -> None:
        self._model = model
        self._horizons = horizons
        self._grid = batch.cut(batch.cells - 1, batch.cells)
        self._tail = Tail(batch.values, window(batch), batch.cells_in(SPARE))
        self._newest = batch.end
        self.memory = memory

    @classmethod
    def begin(cls, model: Fleet, batch: Batch, horizons: tuple[int, ...]) -> FleetFit:
        """Return a fit that knows how wrong it would have been."""
        fit = cls(model, batch, horizons, looked_back(model, batch, horizons))
        fit.refit()
        return fit

    @classmethod
    def resume(
        cls, model: Fleet, batch: Batch, horizons: tuple[int, ...], state: State
    ) -> FleetFit:
        """Return the fit of which a state was kept, at the end of the same batch."""
        memory = Memory(batch, horizons)
        memory.restore(state)
        fit = cls(model, batch, horizons, memory)
        fit.fitted_at, fit.cells = float(state["fitted_at"]), int(state["cells"])
        fit._follow(views.restored(model.shape_of(batch), batch, horizons, fit.cells, state))
        return fit

    @property
    def horizons(self) -> tuple[int, ...]:
        """Return how many cells ahead are predicted."""
        return self._horizons

    @property
    def newest(self) -> float:
        """Return the metric time at which the newest cell ends."""
        return self._newest

    @property
    def step(self) -> float:
        """Return the seconds of a cell."""
        return self._grid.step

    def refit(self) -> None:
        """Fit again on the newest window; what is known of past errors is kept."""
        batch = self._batch()
        self.fitted_at, self.cells = batch.end, batch.cells
        self._follow(self._model.views(batch, self._horizons))

    def state(self) -> State:
        """Return all that has to be kept to go on later, beside the values themselves."""
        return {
            **self.memory.state(),
            **views.state(tuple(following.view for following in self._following)),
            "fitted_at": np.array(self.fitted_at),
            "cells": np.array(self.cells),
        }

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

    def _follow(self, fitted: tuple[views.View, ...]) -> None:
        batch = self._batch()
        self._following = [Following(view, batch) for view in fitted]
        self._predict()

    def _predict(self) -> None:
        batch = self._batch()
        said = [following.points(batch) for following in self._following]
        said += _naive(batch, batch.cells - 1, self._horizons)
        self._said = np.stack([one.reshape(len(batch), -1) for one in said])
        self.memory.say(self._said)

    def _batch(self) -> Batch:
        cells = self._tail.cells
        start = self._newest - (cells.shape[1] - 1) * self._grid.step
        return replace(self._grid, start=start, values=cells)


def window(batch: Batch) -> int:
    """Return how many cells are fitted on."""
    return batch.cells_in(COARSE_WINDOW if batch.step >= _COARSE else WINDOW)


def at_levels(values: Cells, levels: tuple[float, ...]) -> Cells:
    """Return quantiles at other levels than LEVELS, interpolated along the last axis."""
    if levels == LEVELS:
        return values
    wanted, known = np.clip(np.asarray(levels), LEVELS[0], LEVELS[-1]), np.asarray(LEVELS)
    high = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = ((wanted - known[high - 1]) / (known[high] - known[high - 1])).astype(np.float32)
    below, above = values[..., high - 1], values[..., high]
    return np.asarray(below + share * (above - below))


def looked_back(model: Fleet, batch: Batch, horizons: tuple[int, ...]) -> Memory:
    """Return the memory of what the model would have said in the last week."""
    cadence, length = batch.cells_in(model.cadence), window(batch)
    begin = max(batch.cells - batch.cells_in(LOOK_BACK), batch.cells_in(_LEAST))
    folds = []
    for boundary in range(begin, batch.cells, cadence):
        first, last = max(0, boundary - length), min(boundary + cadence, batch.cells)
        fitted = model.views(batch.cut(first, boundary), horizons)
        seen, origin = batch.cut(first, last - 1), boundary - 1 - first
        said = [view.replay(seen, origin) for view in fitted]
        said += _naive(seen, origin, horizons)
        folds.append((np.stack(said), batch.values[:, boundary:]))
    memory = Memory(batch, horizons)
    memory.look_back(folds)
    return memory


def _naive(batch: Batch, first: int, horizons: tuple[int, ...]) -> list[Cells]:
    """Return what the naive methods say, each of shape (series, origins, horizons)."""
    origins = np.arange(first, batch.cells, dtype=np.int64)
    return list(naive(batch.values, batch.step, origins, horizons).values())
