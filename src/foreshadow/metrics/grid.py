"""Samples as they come, on the grid."""

from __future__ import annotations

import math
from collections.abc import Iterable

from foreshadow.domain.series import Series, Window

_FUZZ = 1e-6
"""Share of a step by which a time stamp may be off and still belong to its grid point."""


def resample(samples: Iterable[tuple[float, float]], window: Window) -> Series | None:
    """Return the means of samples over the cells of a window, or ``None`` without any.

    The cell of grid point ``t`` is ``(t - step, t]``. Samples may come in any order; of two with
    the same time the later one counts; values that are not finite are no samples; a cell without
    a sample is a gap.

    :param samples: metric time and value of each.
    """
    latest = {at: value for at, value in samples if math.isfinite(value)}
    grid = window.grid()
    if not grid:
        return None
    first = round(grid[0] / window.step)
    sums, counts = [0.0] * len(grid), [0] * len(grid)
    for at, value in latest.items():
        cell = math.ceil(at / window.step - _FUZZ) - first
        if 0 <= cell < len(grid):
            sums[cell] += value
            counts[cell] += 1
    if not any(counts):
        return None
    values = tuple(s / n if n else math.nan for s, n in zip(sums, counts, strict=True))
    return Series(grid[0], window.step, values)
