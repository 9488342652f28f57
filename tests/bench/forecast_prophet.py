"""The real Prophet on the same series: as it comes, and with the structure of the fleet model."""

from __future__ import annotations

import warnings
from contextlib import redirect_stderr
from dataclasses import replace
from io import StringIO

import numpy as np

from foreshadow.forecast import direct, prophet, ridge
from foreshadow.forecast.batch import Batch, Cells
from foreshadow.forecast.history import DAY, Array
from tests.bench.forecast_accuracy import WINDOW
from tests.bench.forecast_series import Trial

REFIT = 2 * DAY
SEED = 20261124


def sample(trial: Trial, most: int) -> Trial:
    """Return at most so many series of a trial."""
    count = len(trial.batch)
    rows = np.sort(np.random.default_rng(SEED).permutation(count)[:most]).astype(np.int64)
    return replace(
        trial, batch=trial.batch.only(rows), names=tuple(trial.names[row] for row in rows)
    )


def as_it_comes(trial: Trial) -> Array:
    """Return what default Prophet says at each origin, refitted every two days."""
    batch, window = trial.batch, trial.batch.cells_in(WINDOW)
    said = []
    for begin in range(trial.first, batch.cells, batch.cells_in(REFIT)):
        end = min(begin + batch.cells_in(REFIT), batch.cells)
        past = batch.cut(max(0, begin - window), begin)
        times = batch.middles(begin, end + max(trial.horizons))
        course = np.stack([_default(past, row, times) for row in range(len(batch))])
        said.append(
            np.stack([course[:, h - 1 : h - 1 + end - begin] for h in trial.horizons], axis=2)
        )
    return np.concatenate(said, axis=1)


def _default(past: Batch, row: int, times: Array) -> Array:
    with warnings.catch_warnings(), redirect_stderr(StringIO()), prophet.scratch() as folder:
        warnings.simplefilter("ignore")
        import pandas as pd
        from prophet import Prophet

        stamps = pd.to_datetime(past.middles(0, past.cells), unit="s")
        model = Prophet(uncertainty_samples=0)
        model.fit(
            pd.DataFrame({"ds": stamps, "y": past.values[row].astype(np.float64)}),
            output_dir=str(folder),
        )
        frame = pd.DataFrame({"ds": pd.to_datetime(times, unit="s")})
        return np.asarray(model.predict(frame)["yhat"], dtype=np.float64)


def parity(trial: Trial) -> dict[str, Array]:
    """Return the MASE of both on the two days after one fit, each shape (series, horizons).

    Both have the same trend, harmonics and priors, without outliers pulled in and with all cells
    weighed alike, as Prophet has it; and then both with our regressions of the residuals on top.
    """
    batch, horizons = trial.batch, trial.horizons
    begin = max(0, trial.first - batch.cells_in(WINDOW))
    end = min(trial.first + batch.cells_in(REFIT), batch.cells)
    past, seen = batch.cut(begin, trial.first), batch.cut(begin, end)
    shape = replace(ridge.Shape(), half_life=np.inf, cut=np.inf, season_prior=0.1)
    times = past.middles(0, seen.cells + max(horizons))
    courses = {
        "fleet": ridge.fit(past, shape).at(times),
        "Prophet": _structures(past, shape.for_cells(past.step, past.cells), times),
    }
    came = np.stack([seen.values[:, past.cells + h - 1 :] for h in (max(horizons),)], axis=2)[
        ..., 0
    ]
    found = {}
    for name, course in courses.items():
        origin = past.cells - 1
        count = came.shape[1]
        alone, corrected = [], []
        residuals = past.values - course[:, : past.cells]
        fitted = direct.fit(residuals, course, past.step, horizons, direct.Settings())
        ahead = fitted.ahead(
            fitted.fill(seen.values - course[:, : seen.cells]), course[:, origin:], origin
        )
        for k, h in enumerate(horizons):
            target = seen.values[:, origin + h : origin + h + count]
            usual = course[:, origin + h : origin + h + count]
            alone.append(np.nanmean(np.abs(target - usual), axis=1))
            corrected.append(np.nanmean(np.abs(target - usual - ahead[:, :count, k]), axis=1))
        found[name] = np.stack(alone, axis=1) / trial.scales[:, None]
        found[f"{name}, corrected"] = np.stack(corrected, axis=1) / trial.scales[:, None]
    return found


def _structures(past: Batch, shape: ridge.Shape, times: Array) -> Cells:
    """Return Prophet's courses with a shape, on standardised values as the fleet model has them."""
    courses = []
    for row in range(len(past)):
        values = past.values[row].astype(np.float64)
        offset, scale = np.nanmean(values), np.nanstd(values) or 1.0
        scaled = (values - offset) / scale
        courses.append(offset + scale * _same(past, scaled, shape, times))
    return np.stack(courses).astype(np.float32)


def _same(past: Batch, scaled: Array, shape: ridge.Shape, times: Array) -> Array:
    with warnings.catch_warnings(), redirect_stderr(StringIO()), prophet.scratch() as folder:
        warnings.simplefilter("ignore")
        import pandas as pd
        from prophet import Prophet

        # Prophet divides by the largest value, so its priors are in units of that.
        largest = float(np.nanmax(np.abs(scaled)))
        model = Prophet(
            n_changepoints=shape.changepoints,
            yearly_seasonality=False,
            weekly_seasonality=False,
            daily_seasonality=False,
            seasonality_prior_scale=shape.season_prior / largest,
            changepoint_prior_scale=shape.change_prior / largest,
            uncertainty_samples=0,
        )
        for period, order in shape.seasons:
            model.add_seasonality(f"{period:g} s", period=period / DAY, fourier_order=order)
        stamps = pd.to_datetime(past.middles(0, past.cells), unit="s")
        model.fit(pd.DataFrame({"ds": stamps, "y": scaled}), output_dir=str(folder))
        frame = pd.DataFrame({"ds": pd.to_datetime(times, unit="s")})
        return np.asarray(model.predict(frame)["yhat"], dtype=np.float64)
