"""Intervals hold what they claim of the forecasts that were given with them."""

import numpy as np
import pytest

from foreshadow.forecast.intervals import LEVELS
from foreshadow.forecast.issued import Issued
from foreshadow.forecast.tracking import Tracking, covers

HORIZONS = (1, 4, 12, 40)
LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
FAR_LOW, FAR_HIGH = LEVELS.index(0.025), LEVELS.index(0.975)


def table(tick: int) -> np.ndarray:
    """Return quantiles that tell at which tick they were noted."""
    return np.full((2, len(HORIZONS), 3), tick, dtype=np.float32)


@pytest.mark.parametrize("ticks", [1, 39, 40, 41, 100, 163])
def test_a_forecast_is_held_against_the_quantiles_that_it_was_given_with(ticks: int) -> None:
    issued = Issued.all_with(HORIZONS, table(-1))
    for tick in range(ticks):
        issued.note(table(tick))
    met = issued.met()[0, :, 0]
    wanted = [max(-1, ticks - horizon) for horizon in HORIZONS]
    assert met[:3].tolist() == wanted[:3]
    # Of forty cells each fourth forecast is remembered.
    assert met[3] == max(-1, wanted[3] // 4 * 4)


@pytest.mark.parametrize("ticks", [5, 62])
def test_what_was_issued_survives_being_kept(ticks: int) -> None:
    one = Issued.all_with(HORIZONS, table(-1))
    for tick in range(ticks):
        one.note(table(tick))
    again = Issued(HORIZONS, one.tables.copy(), one.ticks)
    for tick in range(ticks, ticks + 30):
        one.note(table(tick))
        again.note(table(tick))
        assert np.array_equal(one.met(), again.met())


def test_intervals_hold_what_they_claim_where_errors_overlap_and_grow() -> None:
    """The last value of a random walk that grows wilder: errors of neighbours are much alike."""
    horizons, series, ticks, before = (3, 12), 24, 3000, 500
    draw = np.random.default_rng(5)
    wild = np.exp(np.linspace(0.0, 1.5, before + ticks))
    walk = np.cumsum(draw.standard_normal((series, before + ticks)) * wild, axis=1)
    errors = np.full((series, before + ticks, 2), np.nan, dtype=np.float32)
    for k, horizon in enumerate(horizons):
        errors[:, horizon:, k] = walk[:, horizon:] - walk[:, :-horizon]
    tracking = Tracking.of(errors[:, :before], horizons)
    inside: list[list[np.ndarray]] = [[], []]
    far_inside: list[np.ndarray] = []
    for tick in range(before, before + ticks):
        said = tracking.quantiles.copy()
        for k, horizon in enumerate(horizons):
            if tick + horizon - 1 < before + ticks:
                came = errors[:, tick + horizon - 1, k]
                inside[k].append((said[:, k, LOW] <= came) & (came <= said[:, k, HIGH]))
                far_inside.append((said[:, k, FAR_LOW] <= came) & (came <= said[:, k, FAR_HIGH]))
        tracking.learn(errors[:, tick], tracking.issue())
    assert all(0.78 < np.mean(shares) < 0.82 for shares in inside)
    assert 0.94 < np.mean(far_inside) < 0.96


def test_a_gap_is_neither_inside_nor_outside_and_moves_nothing() -> None:
    draw = np.random.default_rng(2)
    errors = draw.standard_normal((3, 60, 1)).astype(np.float32)
    tracking = Tracking.of(errors, (2,))
    before = tracking.quantiles.copy()
    gap = np.full((3, 1), np.nan, dtype=np.float32)
    due = tracking.issue()
    assert np.isnan(covers(due, gap, LOW, HIGH)).all()
    tracking.learn(gap, due)
    assert np.array_equal(tracking.quantiles, before)
