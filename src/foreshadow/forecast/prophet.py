"""Fitting a structure with the real Prophet, with each of its traps guarded."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from foreshadow.forecast import robust
from foreshadow.forecast.history import DAY, WEEK, Array, History
from foreshadow.forecast.structure import Season, Structure

Seasons: TypeAlias = dict[str, tuple[float, int]]

VERSION = "prophet-1"
"""Part of the key of every cached fit: change it with anything below that changes a fit."""

_DAILY_ORDER = 10
_WEEKLY_ORDER = 3
_RICH_WEEKLY_ORDER = 42
_WEEKLY_SPAN = 10 * DAY
_CLEARLY = 0.67
_PRIOR = 0.1
_CHANGEPOINTS = 5
_FINEST = 1800.0
_SEED = 20161116
_PREFIX = "foreshadow-stan-"


def fit(history: History) -> Structure:
    """Return the structure of a history.

    The values are averaged to a grid no finer than 30 minutes, which bounds the cost, standardised,
    which gives the priors their meaning, and freed of outliers.

    :raises RuntimeError: when the optimiser fails.
    """
    times, values = _coarse(history)
    offset, scale = float(values.mean()), float(values.std()) or 1.0
    seasons, rough = _seasons(times, (values - offset) / scale, history.step)
    model = _fitted(times, rough, seasons)
    beta = model.params["beta"][0] * model.y_scale
    found, first = [], 0
    for name, (period, order) in seasons.items():
        mine = beta[first : first + 2 * order]
        found.append(Season(name, period, tuple(float(b) for b in mine)))
        first += 2 * order
    return Structure(
        start=float(times[0]),
        span=float(times[-1] - times[0]),
        offset=offset,
        scale=scale,
        slope=float(model.params["k"][0, 0] * model.y_scale),
        intercept=float(model.params["m"][0, 0] * model.y_scale),
        changepoints=tuple(float(t) for t in model.changepoints_t),
        deltas=tuple(float(d) for d in model.params["delta"][0] * model.y_scale),
        seasons=tuple(found),
        fitted_at=float(history.end),
        points=len(values),
    )


def _seasons(times: Array, values: Array, step: float) -> tuple[Seasons, robust.Rough]:
    """Return the seasonalities that a history can carry, and the robust fit with them.

    They are set by hand, because Prophet leaves weekly out below two weeks, and daily below two
    days. From two weeks on, the week may have days of different shapes, if that leaves clearly less
    unexplained.
    """
    span = times[-1] - times[0]
    highest = max(1, int(DAY / max(step, _FINEST) / 2) - 1)
    plain: Seasons = {"daily": (1.0, min(_DAILY_ORDER, highest))}
    if span >= _WEEKLY_SPAN:
        plain["weekly"] = (7.0, min(_WEEKLY_ORDER, 7 * highest))
    rough = robust.fit(times, values, plain)
    if span < 2 * WEEK:
        return plain, rough
    rich: Seasons = {"weekly": (7.0, min(_RICH_WEEKLY_ORDER, 7 * highest))}
    richer = robust.fit(times, values, rich)
    return (rich, richer) if richer.spread < _CLEARLY * rough.spread else (plain, rough)


def _coarse(history: History) -> tuple[Array, Array]:
    """Return the middle times and means of blocks of cells, without gaps: both shape (m,)."""
    per = max(1, math.floor(_FINEST / history.step))
    middle = history.times - history.step / 2
    blocks = np.floor(middle / (per * history.step)).astype(np.int64)
    present = ~np.isnan(history.values)
    kept, where = np.unique(blocks[present], return_inverse=True)
    count = np.bincount(where)
    mean = np.bincount(where, history.values[present]) / count
    return np.asarray((kept + 0.5) * per * history.step, dtype=np.float64), mean


def _fitted(times: Array, rough: robust.Rough, seasons: Seasons) -> Any:
    with scratch() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prophet's own, about the pandas of tomorrow
        import pandas as pd
        from prophet import Prophet

        frame = pd.DataFrame({"ds": pd.to_datetime(times, unit="s"), "y": rough.tamed})
        model = Prophet(
            growth="linear",
            n_changepoints=_CHANGEPOINTS,
            yearly_seasonality=False,
            weekly_seasonality=False,
            daily_seasonality=False,
            seasonality_prior_scale=_PRIOR,
            uncertainty_samples=0,
            stan_backend="CMDSTANPY",
        )
        for name, (period, order) in seasons.items():
            model.add_seasonality(name, period=period, fourier_order=order)
        # Newton would take over silently, and take minutes.
        cast("Any", model.stan_backend).set_options(newton_fallback=False)
        return model.fit(
            frame,
            seed=_SEED,
            algorithm="LBFGS",
            output_dir=str(folder),
            require_converged=False,  # a line search that ends early has found the optimum
        )


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give cmdstanpy a quiet log and a temporary folder that is gone afterwards.

    By itself it makes one folder at its import and removes it when the interpreter exits, which a
    forked worker of Ansible and a killed process never do. What a killed one left is swept here.
    """
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as name:
        _import_stan(name)
        yield Path(name)


def _import_stan(folder: str) -> None:
    logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)
    usual, tempfile.tempdir = tempfile.tempdir, folder
    try:
        import cmdstanpy
        from cmdstanpy.utils import filesystem
    finally:
        tempfile.tempdir = usual
    cmdstanpy.disable_logging()
    vars(filesystem)["_TMPDIR"] = folder  # there is no option for where its data files go
