"""The source ``table``: a CSV or Parquet file of past values.

Columns: ``ts`` (ISO 8601, or seconds since 1970; without a zone it is UTC), ``resource``, and one
for each query. CSV may be compressed with gzip.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foreshadow.domain.clock import MetricClock, parse_instant
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.series import Series, Window
from foreshadow.metrics.grid import resample
from foreshadow.metrics.options import Options, parse

_MILLISECONDS = 1e11
"""As seconds this is the year 5138: such a time stamp is in milliseconds."""

Row = Mapping[str, object]


class TableOptions(Options):
    """Options of the source.

    :ivar path: of the file; its name ends in ``.csv``, ``.csv.gz`` or ``.parquet``.
    """

    path: str


class TableSource:
    """Reads the file once, and answers from it."""

    def __init__(self, options: Mapping[str, Any], clock: MetricClock, access: object) -> None:
        del clock, access  # time stamps are metric time, and a file needs no connection
        self._path = Path(parse(TableOptions, "table", options).path).expanduser()
        self._rows: list[tuple[float, str, Row]] | None = None

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        """Return the column named by ``query`` of each resource, on the grid.

        :raises MetricsError: when the file or the column is not there, or cannot be read.
        """
        wanted: dict[str, list[tuple[float, float]]] = {name: [] for name in resources}
        for at, resource, row in self._read(query):
            if resource in wanted and window.start < at <= window.end:
                wanted[resource].append((at, self._number(row[query], query)))
        found = {name: resample(samples, window) for name, samples in wanted.items()}
        return {name: series for name, series in found.items() if series is not None}

    def _read(self, query: str) -> list[tuple[float, str, Row]]:
        if self._rows is None:
            self._rows = [
                (self._instant(row.get("ts")), str(row.get("resource")), row)
                for row in self._raw_rows()
            ]
        columns = list(self._rows[0][2]) if self._rows else []
        missing = [name for name in ("ts", "resource", query) if self._rows and name not in columns]
        if missing:
            raise self._error(
                f"there is no column {missing[0]}", f"it has: {', '.join(map(str, columns))}"
            )
        return self._rows

    def _raw_rows(self) -> Iterable[Row]:
        name = self._path.name
        if not self._path.is_file():
            raise self._error("there is no such file", "check path")
        try:
            if name.endswith(".parquet"):
                return _parquet(self._path)
            if name.endswith((".csv", ".csv.gz")):
                opened = gzip.open if name.endswith(".gz") else open
                with opened(self._path, "rt", encoding="utf-8", newline="") as file:
                    return list(csv.DictReader(file))
        except (OSError, EOFError, ValueError, csv.Error) as error:
            raise self._error(f"it cannot be read: {error}", "is it what its name says?") from None
        raise self._error(
            "its kind is not known", "its name has to end in .csv, .csv.gz or .parquet"
        )

    def _instant(self, value: object) -> float:
        try:
            at = float(value) if isinstance(value, str) else parse_instant(value)
        except ValueError:
            try:
                at = parse_instant(value)
            except ValueError as error:
                raise self._error(f"column ts: {error}", "correct the row") from None
        if at > _MILLISECONDS:
            raise self._error(f"column ts: {at:.0f} is in milliseconds", "write seconds, or ISO")
        return at

    def _number(self, value: object, query: str) -> float:
        if value is None or value == "":
            return math.nan
        try:
            return float(value)  # type: ignore[arg-type]  # what is no number is told below
        except (TypeError, ValueError):
            raise self._error(
                f"column {query}: {value!r} is not a number", "correct the row, or leave it empty"
            ) from None

    def _error(self, problem: str, remedy: str) -> MetricsError:
        return MetricsError(problem, where=f"table {self._path}", remedy=remedy)


def _parquet(path: Path) -> list[Row]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise ValueError(
            "Parquet needs pyarrow: pip install ansible-foreshadow[forecast]"
        ) from None
    rows: list[Row] = parquet.read_table(path).to_pylist()
    return rows
