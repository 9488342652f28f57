"""The structure of the fleet model is Prophet's: same priors, same knots, same errors."""

from dataclasses import replace

import numpy as np
import pytest

from foreshadow.forecast import ridge
from foreshadow.forecast.batch import Batch
from foreshadow.forecast.history import DAY
from tests.bench.forecast_prophet import parity
from tests.bench.forecast_series import Trial

STEP = 1800.0
START = 1_500_336_000.0
DAYS, TEST = 14, 2
SERIES = 8


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Rhythms of which half change their trend once, at any time."""
    draw = np.random.default_rng(11)
    cells = round((DAYS + TEST) * DAY / STEP)
    days = np.arange(cells) * STEP / DAY
    values = np.empty((SERIES, cells))
    for row in range(SERIES):
        rhythm = np.sin(2 * np.pi * (days + draw.uniform())) + 0.4 * np.sin(4 * np.pi * days)
        rhythm *= np.where(days.astype(int) % 7 < 5, 1.0, 0.7)
        slope = draw.uniform(-0.05, 0.05)
        change = draw.choice((-0.6, 0.6)) * np.maximum(days - draw.uniform(3, 11), 0)
        trend = slope * days + (change if row % 2 else 0)
        values[row] = 12 + rhythm + trend + 0.3 * draw.standard_normal(cells)
    first = round(DAYS * DAY / STEP)
    return Trial("rhythms", tuple("abcdefgh"), Batch.of(START, STEP, values), first)


@pytest.fixture(scope="module")
def errors(trial: Trial) -> dict[str, np.ndarray]:
    """The errors of both, alone and corrected."""
    return parity(trial)


@pytest.mark.parametrize("note", ["", ", corrected"])
def test_the_fleet_model_errs_within_three_percent_of_prophet(
    errors: dict[str, np.ndarray], note: str
) -> None:
    ratios = np.log(errors[f"fleet{note}"] / errors[f"Prophet{note}"]).mean(axis=0)
    assert np.abs(np.exp(ratios) - 1).max() < 0.03, np.exp(ratios)


def test_a_change_of_the_trend_is_rare_and_may_be_large(trial: Trial) -> None:
    """As under Prophet's prior: where the trend is straight it stays so, else a knot takes it."""
    known = trial.batch.cut(0, trial.first)
    shape = replace(ridge.Shape(), half_life=np.inf, cut=np.inf)
    changes = np.abs(ridge.fit(known, shape).coefficients[shape.changes()])
    straight, changed = changes[:, ::2], changes[:, 1::2]
    assert changed.max(axis=0).min() > 5 * straight.max()
