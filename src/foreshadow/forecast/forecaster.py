"""From a history to an outlook."""

from __future__ import annotations

import numpy as np

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Model
from foreshadow.forecast import prophet
from foreshadow.forecast.backtest import ENOUGH, SPAN, Backtest, backtest
from foreshadow.forecast.gate import gate
from foreshadow.forecast.history import Array, History, steps
from foreshadow.forecast.intervals import LEVELS, quantiles
from foreshadow.forecast.margin import Limit, margin
from foreshadow.forecast.model import NAME, Fit, Shelf, boundaries, fold_at
from foreshadow.forecast.outlook import Outlook, Quantiles

MOST_STEPS = 24


def forecast(
    history: History,
    horizon: float,
    shelf: Shelf,
    fit: Fit = prophet.fit,
    limit: Limit | None = None,
) -> Outlook:
    """Return the outlook from the end of a history, with the backtest that it has to pass.

    :param horizon: metric seconds; the path reaches at least one cell beyond.
    :param limit: what the forecast will be held against; the gate then looks at false alarms too.
    :raises RuntimeError: when the model cannot be fitted.
    """
    horizons = steps(horizon, history.step, MOST_STEPS)
    folds = [fold_at(history, b, horizons, shelf, fit) for b in boundaries(history, SPAN)]
    past = backtest(history, folds, horizons)
    newest = folds[-1]
    origin = np.array([len(history.values) - 1])
    points = newest.predict(history, origin)[0]
    spreads = newest.spreads(history, origin)[0]
    path = tuple(
        _quantiles(history, past, k, ahead, float(points[k]), float(spreads[k]))
        for k, ahead in enumerate(horizons)
    )
    model = Model(NAME, int((~np.isnan(history.values)).sum()), MetricTime(newest.boundary))
    asked = margin(history, past, horizons, limit) if limit else None
    return Outlook(
        path, gate(past, asked.problem if asked else None), model, asked.value if asked else 0.0
    )


def _quantiles(
    history: History, past: Backtest, k: int, ahead: int, point: float, spread: float
) -> Quantiles:
    values = point + spread * quantiles(_errors(past, k), LEVELS)
    at = MetricTime(history.end + (ahead - 0.5) * history.step)
    return Quantiles(at, point, LEVELS, tuple(max(0.0, float(v)) for v in values))


def _errors(past: Backtest, k: int) -> Array:
    """Return the scaled errors of one horizon, of all horizons when it alone has too few."""
    scaled = past.errors / past.spreads
    mine = scaled[:, k][~np.isnan(scaled[:, k])]
    if len(mine) >= ENOUGH:
        return mine
    every = scaled[~np.isnan(scaled)]
    return every if len(every) else np.array([-2.0, 0.0, 2.0])
