"""Prophet's structure for many series at once: a batched robust ridge.

Prophet finds the most probable trend, seasonalities and event effects under Gaussian noise and
priors. On a shared grid that is one linear problem with many right-hand sides: in the eigenvectors
of the design, each series has its own noise, and so its own shrinkage, for the price of a division.
Only the changes of the trend have a Laplace prior, which leaves most at nothing and lets a few be
large: see :mod:`foreshadow.forecast.sparse`. Outliers are pulled to the edge of what is usual, and
gaps to the fit itself, round by round, which leaves the design the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from foreshadow.forecast.batch import Batch, Cells, Event
from foreshadow.forecast.history import DAY, Array
from foreshadow.forecast.sparse import Mixed
from foreshadow.forecast.structure import fourier

HOUR = 3600.0
_TREND_PRIOR = 5.0
_TINY = 1e-6
_MAD_STRIDE = 7
"""A median of each seventh residual is as good for a cut, and cheaper. Seven meets each hour."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a structure is made of.

    :ivar seasons: period in seconds and Fourier order of each.
    :ivar season_prior: standard deviation of the coefficients, in those of the series.
    :ivar changepoints: of the trend, evenly over the first 80 %, the last one at its end.
    :ivar change_prior: scale of the Laplace distribution of how much each changes the slope.
    :ivar half_life: seconds after which a cell counts half; ``inf`` weighs all alike.
    :ivar cut: robust standard deviations beyond which a residual is an outlier.
    """

    seasons: tuple[tuple[float, int], ...] = ((DAY, 20), (7 * DAY, 3), (HOUR, 6))
    season_prior: float = 0.02
    changepoints: int = 5
    change_prior: float = 0.05
    event_prior: float = 1.0
    half_life: float = 2.5 * DAY
    cut: float = 1.5
    rounds: int = 4
    events: tuple[Event, ...] = field(default=())

    def for_cells(self, step: float, cells: int) -> Shape:
        """Return the shape that a history of so many cells can carry."""
        span = step * cells
        kept = []
        for period, order in self.seasons:
            highest = min(order, int(period / step / 2 - 0.01))
            if highest >= 1 and span >= 1.4 * period:
                kept.append((period, highest))
        return replace(self, seasons=tuple(kept))

    def columns(self, times: Array, start: float, span: float) -> Array:
        """Return the design at times, shape (times, coefficients)."""
        t = (times - start) / span
        knots = 0.8 * np.arange(1, self.changepoints + 1) / max(self.changepoints, 1)
        blocks = [np.ones((len(t), 1)), t[:, None], np.maximum(t[:, None] - knots[None, :], 0.0)]
        blocks += [fourier(times / period, 1.0, order) for period, order in self.seasons]
        for name in self._event_names():
            inside = np.zeros(len(t))
            for event in self.events:
                if event.name == name:
                    inside += (times > event.start) & (times <= event.end)
            blocks.append(np.minimum(inside, 1.0)[:, None])
        return np.hstack(blocks)

    def priors(self) -> Array:
        """Return the prior standard deviation of each coefficient but the changes of the trend."""
        harmonics = sum(2 * order for _, order in self.seasons)
        return np.concatenate(
            [
                [_TREND_PRIOR, _TREND_PRIOR],
                np.full(harmonics, self.season_prior),
                np.full(len(self._event_names()), self.event_prior),
            ]
        )

    def changes(self) -> slice:
        """Return which columns of the design are the changes of the trend."""
        return slice(2, 2 + self.changepoints)

    def _event_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(event.name for event in self.events))


@dataclass(frozen=True, slots=True)
class Structures:
    """The fitted structures of many series.

    :ivar start: seconds since 1970 at which scaled time is 0; ``span`` seconds later it is 1.
    :ivar offset: of each series, shape (series, 1); ``scale`` likewise.
    :ivar coefficients: in units of the scale, shape (coefficients, series).
    """

    shape: Shape
    start: float
    span: float
    offset: Cells
    scale: Cells
    coefficients: Cells

    def at(self, times: Array) -> Cells:
        """Return the structures at times (seconds since 1970), shape (series, times)."""
        design = self.shape.columns(times, self.start, self.span).astype(np.float32)
        return np.asarray(self.offset + self.scale * (design @ self.coefficients).T)


def fit(batch: Batch, shape: Shape) -> Structures:
    """Return the structures of a batch. A series without any value gives zero."""
    shape = shape.for_cells(batch.step, batch.cells)
    times = batch.middles(0, batch.cells)
    start, span = float(times[0]), float(times[-1] - times[0]) or 1.0
    known = ~np.isnan(batch.values)
    whole = bool(known.all())
    offset, scale = _standard(batch.values, known)
    target = (batch.values - offset) / scale
    np.nan_to_num(target, copy=False)
    weights = 0.5 ** ((times[-1] - times) / shape.half_life)
    root = np.sqrt(weights)
    design = shape.columns(times, start, span)
    mixed = Mixed.of(design, shape.changes(), shape.priors(), shape.change_prior, root)
    whole_design = np.ascontiguousarray(design.T, dtype=np.float32)
    weigh = weights.astype(np.float32)
    noise = np.full(len(batch), 0.25, dtype=np.float32)
    changes = np.full((len(batch), shape.changepoints), shape.change_prior)
    pulled = target
    for turn in range(shape.rounds):
        found, changes = mixed.solve((pulled * weigh) @ whole_design.T, noise, changes)
        if turn == shape.rounds - 1:
            break
        said = found @ whole_design
        away = target - said
        if not whole:
            away *= known
        sample = np.abs(away[:, ::_MAD_STRIDE])
        usual = 1.4826 * np.median(sample, axis=1, keepdims=True) + _TINY
        limit = shape.cut * usual
        kept = np.clip(away, -limit, limit)
        noise = np.maximum(np.einsum("sn,sn->s", kept, kept) / batch.cells, _TINY)
        pulled = target - (away - kept)
        if not whole:
            pulled[~known] = said[~known]
    return Structures(shape, start, span, offset, scale, np.ascontiguousarray(found.T))


def _standard(values: Cells, known: np.ndarray) -> tuple[Cells, Cells]:
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    filled = np.where(known, values, 0)
    offset = filled.sum(axis=1, keepdims=True, dtype=np.float64) / count
    apart = np.where(known, values - offset, 0)
    scale = np.sqrt((apart**2).sum(axis=1, keepdims=True) / count)
    return offset.astype(np.float32), np.where(scale > 0, scale, 1.0).astype(np.float32)
