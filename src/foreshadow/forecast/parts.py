"""A batch in parts whose series are as old as each other, and few enough for the memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from foreshadow.forecast.batch import Batch
from foreshadow.forecast.history import DAY, Index

_MOST = 500


def parts_of(batch: Batch) -> Iterator[tuple[Index, Batch]]:
    """Yield the rows and the batch of each part, from its first value on.

    Series that began within the same day are taken together.
    """
    known = ~np.isnan(batch.values)
    first = np.where(known.any(axis=1), known.argmax(axis=1), 0)
    day = batch.cells_in(DAY)
    age = first // day if batch.cells > day else first
    for one in np.unique(age):
        rows = np.flatnonzero(age == one)
        for at in range(0, len(rows), _MOST):
            mine = rows[at : at + _MOST]
            yield mine, begun(batch.only(mine))


def begun(batch: Batch) -> Batch:
    """Return a batch from its first value on; the whole batch where there is none."""
    first = int((~np.isnan(batch.values)).any(axis=0).argmax())
    return batch.cut(first, batch.cells)
