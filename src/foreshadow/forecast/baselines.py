"""The naive forecasts that have to be beaten before a forecast may act."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from foreshadow.forecast.history import DAY, WEEK, Index

LAST_VALUE = "last value"
SAME_TIME_YESTERDAY = "same time yesterday"
SAME_TIME_LAST_WEEK = "same time last week"

_PERIODS = {SAME_TIME_YESTERDAY: DAY, SAME_TIME_LAST_WEEK: WEEK}
_Real = TypeVar("_Real", bound=np.floating[Any])


def naive(
    values: npt.NDArray[_Real], step: float, origins: Index, horizons: tuple[int, ...]
) -> dict[str, npt.NDArray[_Real]]:
    """Return what each naive method says, each of shape (series, origins, horizons).

    :param values: shape (series, cells), ``nan`` for a gap; ``step`` in seconds.
    :param origins: indices of the last known cell. Unknown values are ``nan``; a series that has
        not begun yet counts as zero for the last value.
    """
    at, ahead = origins[:, None], np.asarray(horizons)[None, :]
    first = int(origins.min(initial=values.shape[1]))
    last = held(values, first)[:, origins - first]
    found = {LAST_VALUE: np.repeat(last[:, :, None], len(horizons), axis=2)}
    for name, period in _PERIODS.items():
        lag = max(1, round(period / step))
        where = at + ahead - lag * -(-ahead // lag)
        before = values[:, np.maximum(where, 0)]
        before[:, where < 0] = np.nan
        found[name] = before
    return found


def held(values: npt.NDArray[_Real], first: int = 0) -> npt.NDArray[_Real]:
    """Return cells from ``first`` on, gaps filled by what was seen last, or by zero.

    :param values: shape (series, cells); a tick asks for the newest of thousands.
    """
    wanted = values[:, first:]
    if not np.isnan(wanted).any():
        return wanted
    cells = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    newest = np.maximum.accumulate(cells, axis=1)[:, first:]
    filled: npt.NDArray[_Real] = np.nan_to_num(np.take_along_axis(values, newest, axis=1))
    return filled
