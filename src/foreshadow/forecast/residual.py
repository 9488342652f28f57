"""What the structure does not know: the recent past, as a ridge regression for each horizon.

The residual ``h`` cells ahead is regressed directly on recent residuals (single lags and means),
on what the residual was one day and one week before the target, and on how far the structure
itself moves until then, which corrects an amplitude that is a little off. A gap counts as
"as the structure says".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foreshadow.forecast.history import DAY, WEEK, Array, Index

_LAGS = (0, 1, 2, 3, 5)
_MEANS = (1800.0, 3600.0, 3 * 3600.0, 6 * 3600.0, DAY)
_RIDGE = 100.0
_CLIP = 8.0


@dataclass(frozen=True, slots=True)
class ResidualModel:
    """One ridge regression for each horizon.

    :ivar horizons: cells ahead, shape (k,).
    :ivar weights: coefficients of the scaled features, shape (k, features).
    :ivar scale: of the residuals.
    """

    step: float
    horizons: tuple[int, ...]
    weights: Array
    scale: float

    def ahead(self, residuals: Array, structure: Array, origins: Index) -> Array:
        """Return the expected residuals after each origin, shape (origins, horizons).

        :param residuals: observed minus structure, ``nan`` for gaps, shape (n,).
        :param structure: on the same cells, and at least the largest horizon beyond, shape (m,).
        :param origins: indices of the last known cell, shape (o,).
        """
        table = _Features(residuals, structure, self.step, self.scale)
        columns = [
            table.at(origins, horizon) @ self.weights[k] for k, horizon in enumerate(self.horizons)
        ]
        return self.scale * np.stack(columns, axis=1)


def fit(
    residuals: Array, structure: Array, step: float, horizons: tuple[int, ...]
) -> ResidualModel:
    """Return the model of the residuals of a history, both shape (n,)."""
    scale = float(np.nanstd(residuals)) or 1.0
    table = _Features(residuals, structure, step, scale)
    weights = []
    for horizon in horizons:
        origins = np.arange(0, len(residuals) - horizon, dtype=np.int64)
        target = np.clip(residuals[origins + horizon] / scale, -_CLIP, _CLIP)
        known = ~np.isnan(target)
        x, y = table.at(origins[known], horizon), target[known]
        penalty = _RIDGE * np.eye(x.shape[1])
        weights.append(np.linalg.solve(x.T @ x + penalty, x.T @ y))
    return ResidualModel(step, horizons, np.stack(weights), scale)


class _Features:
    def __init__(self, residuals: Array, structure: Array, step: float, scale: float) -> None:
        filled = np.clip(np.nan_to_num(residuals / scale), -_CLIP, _CLIP)
        self._structure = structure / scale
        self._day, self._week = max(1, round(DAY / step)), max(1, round(WEEK / step))
        self._filled = filled
        total = np.concatenate([[0.0], np.cumsum(filled)])
        index = np.arange(len(filled))
        columns = [_shifted(filled, lag) for lag in _LAGS]
        for span in _MEANS:
            cells = round(span / step)
            if cells > 1:
                first = np.maximum(index + 1 - cells, 0)
                columns.append((total[index + 1] - total[first]) / cells)
        self._recent = np.stack(columns, axis=1)

    def at(self, origins: Index, horizon: int) -> Array:
        """Return the features, shape (origins, features)."""
        move = self._structure[origins + horizon] - self._structure[origins]
        seasonal = [_before(self._filled, origins, horizon, lag) for lag in (self._day, self._week)]
        return np.column_stack(
            [self._recent[origins], *seasonal, move, 0.3 * np.ones(len(origins))]
        )


def _shifted(values: Array, lag: int) -> Array:
    return np.concatenate([np.zeros(lag), values[: len(values) - lag]])


def _before(values: Array, origins: Index, horizon: int, lag: int) -> Array:
    """Return the value whole periods before the target, the newest that the origin knows."""
    periods = -(-horizon // lag)
    where = origins + horizon - periods * lag
    return np.where(where >= 0, values[np.maximum(where, 0)], 0.0)
