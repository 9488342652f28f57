"""The naive forecasts that have to be beaten before a forecast may act."""

from __future__ import annotations

import numpy as np

from foreshadow.forecast.history import DAY, WEEK, Array, History, Index

LAST_VALUE = "last value"
SAME_TIME_YESTERDAY = "same time yesterday"
SAME_TIME_LAST_WEEK = "same time last week"


def naive(history: History, origins: Index, horizons: tuple[int, ...]) -> dict[str, Array]:
    """Return what each naive method says at each origin, each of shape (origins, horizons).

    :param origins: indices of the last known cell. Unknown values are ``nan``.
    """
    values = history.values
    ahead = np.asarray(horizons)[None, :]
    at = origins.astype(np.int64)[:, None]
    known = np.where(np.isnan(values), 0, np.arange(len(values)))
    newest = np.maximum.accumulate(known)
    found = {LAST_VALUE: np.broadcast_to(values[newest[at]], (len(origins), len(horizons)))}
    for name, period in ((SAME_TIME_YESTERDAY, DAY), (SAME_TIME_LAST_WEEK, WEEK)):
        lag = history.cells(period)
        where = at + ahead - lag * -(-ahead // lag)
        found[name] = np.where(where >= 0, values[np.maximum(where, 0)], np.nan)
    return found
