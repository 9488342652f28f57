"""Forecasts on real series: how accurate, how honest, how fast.

Reads a folder of series as ``../shared/data/dev`` has them (``<group>.csv.gz`` with the column
``ts`` and one for each series); another one is named by FORESHADOW_SERIES or the first argument.
All methods are paired on the same origins; default Prophet is fitted once, before the first.
Errors are mean absolute errors over that of the same time yesterday on the whole history, one
figure for each series, and then the geometric mean.
"""

from __future__ import annotations

import csv
import gzip
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np

from foreshadow.domain.clock import parse_instant
from foreshadow.forecast import prophet
from foreshadow.forecast.backtest import SPAN, Backtest, backtest
from foreshadow.forecast.gate import gate
from foreshadow.forecast.history import DAY, Array, History
from foreshadow.forecast.model import Memory, boundaries, fold_at
from tests.bench.table import Row, report

FOLDER = Path(__file__).parents[3] / "shared/data/dev"
SERIES_PER_GROUP = 4
AHEAD = (900.0, 1800.0, 3600.0)
LAST_VALUE, DEFAULT = "last value", "default Prophet"
SEED = 20261124


def series(folder: Path) -> Iterator[tuple[str, str, History]]:
    """Yield the group, the name and the history of a bounded sample of series."""
    draw = np.random.default_rng(SEED)
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        times = [parse_instant(row[0]) for row in rows]
        step = float(np.median(np.diff(times)))
        columns = draw.permutation(np.arange(1, len(head)))[:SERIES_PER_GROUP]
        for column in sorted(columns):
            cells = np.array([float(row[column] or "nan") for row in rows])
            present = np.flatnonzero(~np.isnan(cells))
            first, last = int(present[0]), int(present[-1])
            values = cells[first : last + 1][-round(29 * DAY / step) :]
            start = times[last] - (len(values) - 1) * step
            yield path.name.split(".")[0], head[column], History(start, step, values)


def default_prophet(history: History, past: Backtest, horizons: tuple[int, ...]) -> Array:
    """Return the errors of Prophet as it comes, fitted at the first boundary of the span."""
    import pandas as pd
    from prophet import Prophet

    count = len(past.errors)
    origins = len(history.values) - 1 - count + np.arange(count)
    seen = slice(0, int(origins[0]) + 1)
    stamps = pd.to_datetime(history.times, unit="s")
    with redirect_stderr(StringIO()), prophet.scratch() as folder:
        model = Prophet(uncertainty_samples=0)
        frame = pd.DataFrame({"ds": stamps[seen], "y": history.values[seen]})
        model.fit(frame, output_dir=str(folder))
    said = model.predict(pd.DataFrame({"ds": stamps}))["yhat"].to_numpy()
    padded = np.concatenate([history.values - said, np.full(max(horizons), np.nan)])
    errors: Array = padded[origins[:, None] + np.asarray(horizons)[None, :]]
    return errors


def measured(history: History) -> tuple[dict[str, Array], Backtest, float, float]:
    """Return the scaled errors of each method, our backtest, seconds to fit and to run again."""
    horizons = tuple(max(1, round(ahead / history.step)) for ahead in AHEAD)
    shelf = Memory()
    begin = time.perf_counter()
    limits = boundaries(history, SPAN)
    folds = [fold_at(history, limit, horizons, shelf, prophet.fit) for limit in limits]
    fitted = time.perf_counter()
    for limit in limits:
        fold_at(history, limit, horizons, shelf, prophet.fit)
    again = time.perf_counter()
    past = backtest(history, folds, horizons)
    methods = {"ours": past.errors, **past.naive_errors}
    methods[DEFAULT] = default_prophet(history, past, horizons)
    lag = history.cells(DAY)
    scale = np.nanmean(np.abs(history.values[lag:] - history.values[:-lag]))
    known = ~np.isnan(sum(methods.values()))
    figures = {
        name: np.array([np.abs(e[k, j]).mean() for j, k in enumerate(known.T)]) / scale
        for name, e in methods.items()
    }
    return figures, past, (fitted - begin) / len(folds), (again - fitted) / len(folds)


def main(folder: Path) -> None:
    """Measure every series of the sample and report."""
    figures: dict[str, list[Array]] = defaultdict(list)
    coverage, opened, fits, reads = defaultdict(list), [], [], []
    for group, name, history in series(folder):
        if len(history.values) * history.step < 8 * DAY:
            continue
        scaled, past, fit, read = measured(history)
        if not all(np.isfinite(value).all() and (value > 0).all() for value in scaled.values()):
            print(f"left out: {name}, which has too many gaps or is flat")
            continue
        for method, value in scaled.items():
            figures[method].append(value)
        if past.coverage is not None:
            coverage[group].append(past.coverage)
        opened.append(gate(past).open)
        fits.append(fit)
        reads.append(read)
    report("forecast", _rows(figures, coverage, opened, fits, reads))


def _rows(
    figures: dict[str, list[Array]],
    coverage: dict[str, list[float]],
    opened: list[bool],
    fits: list[float],
    reads: list[float],
) -> list[Row]:
    mean = {name: np.exp(np.mean(np.log(values), axis=0)) for name, values in figures.items()}
    rows = []
    for k, ahead in enumerate(AHEAD):
        minutes = round(ahead / 60)
        ours = float(mean["ours"][k])
        for name in (n for n in mean if n != "ours"):
            peer = float(mean[name][k])
            rows.append(
                Row(f"MASE {minutes} min, beside {name}", ours, "", peer, ours < peer, peer)
            )
    every = [value for values in coverage.values() for value in values]
    rows += [
        Row(f"coverage of 80 %, {group}", 100 * float(np.mean(values)), "%")
        for group, values in coverage.items()
    ]
    rows.append(Row("coverage of 80 %, all", 100 * float(np.mean(every)), "%", 80.0))
    rows.append(Row("gate open", 100 * float(np.mean(opened)), "% of series"))
    rows.append(Row("series", len(opened), ""))
    rows.append(Row("one fit by Prophet", 1000 * float(np.median(fits)), "ms"))
    rows.append(Row("the same from its coefficients", 1000 * float(np.median(reads)), "ms"))
    return rows


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FORESHADOW_SERIES", FOLDER))
    if not any(chosen.glob("*.csv.gz")):
        sys.exit(f"bench-forecast: there are no series in {chosen}; set FORESHADOW_SERIES")
    main(chosen)
