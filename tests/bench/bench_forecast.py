"""Forecasts on real series: how accurate, how honest, how close to real Prophet, how fast.

Reads a folder of series as ``../shared/data/dev`` has them (``<group>.csv.gz`` with the column
``ts`` and one for each series); another one is named by FORESHADOW_SERIES or the first argument.
Each series is tested on its last week, or on its last third if it is short; all methods speak at
the same origins, each from what came before. Ours is followed tick by tick and fitted anew each
day. Errors are mean absolute errors over that of the same time yesterday (MASE), one figure for
each series and horizon; ratios are geometric means with bootstrap intervals over series.

Real Prophet costs half a second a fit, so it is run on a sample of FORESHADOW_PROPHET series of
each group (6), and refitted every two days.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import numpy as np

from foreshadow.forecast.baselines import LAST_VALUE, SAME_TIME_LAST_WEEK, SAME_TIME_YESTERDAY
from foreshadow.forecast.history import Array
from tests.bench import forecast_cost, forecast_prophet, rivals, trigger
from tests.bench.forecast_accuracy import (
    OURS,
    Judged,
    best_of,
    coverage,
    every,
    judge,
    ratios,
    unseen,
)
from tests.bench.forecast_series import trials
from tests.bench.table import Row, report

FOLDER = Path(__file__).parents[3] / "shared/data/dev"
PROPHET_SERIES = int(os.environ.get("FORESHADOW_PROPHET", "6"))
DEFAULT = "default Prophet"
BASELINES = (
    LAST_VALUE,
    SAME_TIME_YESTERDAY,
    SAME_TIME_LAST_WEEK,
    rivals.HOLT_WINTERS,
    rivals.SEASONAL_AR,
)
SERVICES = "ms_service"


def main(folder: Path) -> None:
    """Measure every series of a folder and report."""
    judged, sampled, same = [], [], []
    left: dict[str, int] = {}
    for trial in trials(folder):
        judged.append(judge(trial))
        room = left.setdefault(trial.group, PROPHET_SERIES)
        if room > 0:
            few = forecast_prophet.sample(trial, room)
            left[trial.group] = room - len(few.batch)
            sampled.append(judge(few, {DEFAULT: forecast_prophet.as_it_comes(few)}))
            same.append(forecast_prophet.parity(few))
        print(f"judged {trial.group}: {len(trial.names)} series", flush=True)
    rows = [*_accuracy(judged, sampled), *coverage(judged), *(_parity(same) if same else ())]
    report("forecast", rows)  # the trigger and cost take minutes: nobody has to wait for them
    rows += trigger.rows(folder)
    report("forecast", rows)
    report("forecast", [*rows, *forecast_cost.rows()])


def _accuracy(judged: list[Judged], sampled: list[Judged]) -> list[Row]:
    whole = every(judged)
    rows = _beside(whole, "")
    rest = [unseen(one) for one in judged]
    rows += _beside(every(rest), ", series unseen by tuning")
    if sampled:
        few = every(sampled)
        rows += ratios(DEFAULT, few, DEFAULT, (0.60, 0.62, 0.50))
        six = best_of(few, (*BASELINES, DEFAULT))
        rows += ratios("best of six baselines per series", few, six, (0.93, 0.95, 0.85))
    services = [one for one in judged if one.group == SERVICES]
    if services:
        name = rivals.HOLT_WINTERS
        rows += ratios(f"{name} on services", every(services), name, (0.75, 0.75, 0.75))
    return rows


def _beside(judged: Judged, note: str) -> list[Row]:
    rows = ratios(f"last value{note}", judged, LAST_VALUE, (0.75, 0.80, 0.74))
    for name in BASELINES[1:]:
        rows += ratios(f"{name}{note}", judged, name, (None, None, None))
    five = best_of(judged, BASELINES)
    rows += ratios(f"best of five baselines per series{note}", judged, five, (0.93, 0.95, 0.85))
    return rows


def _parity(same: list[dict[str, Array]]) -> list[Row]:
    rows = []
    for note in ("", ", corrected"):
        pair: list[Array] = [
            np.concatenate([one[f"{name}{note}"] for one in same]) for name in ("fleet", "Prophet")
        ]
        judged = Judged("parity", {OURS: pair[0], "Prophet": pair[1]}, np.empty(0))
        title = f"Prophet of the same structure{note}"
        rows += ratios(title, judged, "Prophet", (1.03, 1.03, 1.03))
    return rows


if __name__ == "__main__":
    chosen = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FORESHADOW_SERIES", FOLDER))
    if not any(chosen.glob("*.csv.gz")):
        sys.exit(f"bench-forecast: there are no series in {chosen}; set FORESHADOW_SERIES")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        main(chosen)
