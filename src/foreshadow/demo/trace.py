"""The real trace that the demo replays: hourly road traffic, two years of it.

Vehicles an hour on Interstate 94 (Minneapolis), as the package ``autots`` (MIT) ships them. Only
its data file is read; the package itself is never imported.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from foreshadow.domain.clock import parse_instant
from foreshadow.domain.errors import ForeshadowError

HOUR = 3600.0
_DATA_FILE = "traffic_hourly.zip"


@dataclass(frozen=True, slots=True)
class Trace:
    """Vehicles per hour; a value speaks for the hour that ends at its time stamp.

    :ivar volumes: by time stamp in UTC seconds; hours that the source lacks are absent.
    """

    volumes: dict[float, float]

    def between(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield time stamp and volume in ``(start, end]``, earliest first."""
        for at in sorted(self.volumes):
            if start < at <= end:
                yield at, self.volumes[at]

    def at(self, instant: float) -> float:
        """Return the volume at an instant, linear between the middles of two hours.

        Each hour's mean then stays near the trace's own value.
        """
        middle = (instant - HOUR / 2) // HOUR * HOUR + HOUR / 2
        before, after = self.volumes[middle + HOUR / 2], self.volumes[middle + HOUR * 1.5]
        return before + (after - before) * (instant - middle) / HOUR


def read_trace() -> Trace:
    """Return the trace from the installed package.

    :raises ForeshadowError: when the package is not installed, or has no such file.
    """
    try:
        shipped = files("autots") or []
    except PackageNotFoundError:
        shipped = []
    path = next((Path(str(f.locate())) for f in shipped if f.name == _DATA_FILE), None)
    if path is None:
        raise ForeshadowError(
            "the package autots, whose road traffic trace is replayed, is not installed",
            where="demo",
            remedy="run make demo, which installs it",
        )
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as raw:
        rows = csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8"))
        return Trace(
            {
                parse_instant(row["datetime"]): float(row["traffic_volume"])
                for row in rows
                if row["traffic_volume"]
            }
        )


def write_history(
    path: Path, resource: str, trace: Trace, span: tuple[float, float], scale: float
) -> int:
    """Write the history as a table source reads it, and return the number of samples.

    :param span: metric times; samples in ``(start, end]`` are written with their own time stamps.
    :param scale: requests per second that one vehicle an hour stands for.
    """
    samples: Sequence[tuple[float, float]] = tuple(trace.between(*span))
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["ts", "resource", "rate", "latency"])
        # The trace knows no latency; the column is there because the source is asked for it.
        writer.writerows([int(at), resource, f"{volume * scale:.4f}", ""] for at, volume in samples)
    return len(samples)
