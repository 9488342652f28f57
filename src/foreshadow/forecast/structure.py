"""Prophet's trend and seasonalities as stored coefficients, evaluated with numpy alone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from foreshadow.forecast.history import Array


@dataclass(frozen=True, slots=True)
class Season:
    """One Fourier seasonality.

    :ivar period: days.
    :ivar beta: coefficients of sine and cosine, order after order, in units of the scale.
    """

    name: str
    period: float
    beta: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Structure:
    """A fitted piecewise linear trend with additive seasonalities.

    :ivar start: seconds since 1970 at which scaled time is 0; ``span`` seconds later it is 1.
    :ivar offset: added to, and ``scale`` multiplied with, what the coefficients give.
    :ivar fitted_at: metric time at which the last value that it saw ends.
    :ivar points: how many values it was fitted on.
    """

    start: float
    span: float
    offset: float
    scale: float
    slope: float
    intercept: float
    changepoints: tuple[float, ...]
    deltas: tuple[float, ...]
    seasons: tuple[Season, ...]
    fitted_at: float
    points: int

    def at(self, times: Array) -> Array:
        """Return the structure at times (seconds since 1970), shape (n,) for shape (n,)."""
        t = (times - self.start) / self.span
        value = self.slope * t + self.intercept
        for changepoint, delta in zip(self.changepoints, self.deltas, strict=True):
            value = value + delta * np.maximum(t - changepoint, 0.0)
        days = times / 86400.0
        for season in self.seasons:
            value = value + fourier(days, season.period, len(season.beta) // 2) @ np.asarray(
                season.beta
            )
        return self.offset + self.scale * value

    def dumps(self) -> str:
        """Return the coefficients as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def loads(cls, text: str) -> Structure:
        """Return the structure that :meth:`dumps` wrote."""
        raw = json.loads(text)
        raw["seasons"] = tuple(
            Season(s["name"], s["period"], tuple(s["beta"])) for s in raw["seasons"]
        )
        raw["changepoints"], raw["deltas"] = tuple(raw["changepoints"]), tuple(raw["deltas"])
        return cls(**raw)


def fourier(days: Array, period: float, order: int) -> Array:
    """Return sine and cosine of each order in turn, shape (n, 2 * order), as Prophet has them."""
    angle = 2 * np.pi * days[:, None] * np.arange(1, order + 1)[None, :] / period
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(len(days), 2 * order)
