"""The fleet model: what it says tick by tick is what its replay says, and it is worth having."""

import numpy as np
import pytest

from foreshadow.forecast import direct, ridge, views
from foreshadow.forecast.batch import Batch, Event
from foreshadow.forecast.fleet import Fleet, FleetFit, looked_back
from foreshadow.forecast.history import DAY
from foreshadow.forecast.intervals import LEVELS
from tests.support.whole import Whole
from tests.unit.forecast.days import START, STEP, rhythm

HORIZONS = (1, 2, 4)


def batch(days: float, series: int = 3, noise: float = 0.02) -> Batch:
    return Batch.of(START, STEP, [rhythm(days, noise, seed) for seed in range(series)])


def test_ticks_say_what_the_replay_says() -> None:
    everything = batch(24)
    known, model = 20 * 24, Fleet()
    fit = Whole(everything.cut(0, known), HORIZONS)
    fitted = model.views(everything.cut(0, known), HORIZONS)
    replayed = [view.replay(everything, known - 1) for view in fitted]
    _, followed = fit.parts[0]
    for tick in range(96):
        for mine, view in zip(followed._said, replayed, strict=False):
            assert mine == pytest.approx(view[:, tick], abs=1e-3)
        fit.update(everything.values[:, known + tick : known + tick + 1])


def test_no_point_depends_on_what_came_after_its_origin() -> None:
    before, after = batch(24), batch(24)
    after.values[:, 20 * 24 + 5 :] += 3.0
    said = []
    for one in (before, after):
        fit = Whole(one.cut(0, 20 * 24), HORIZONS)
        fit.update(one.values[:, 20 * 24 : 20 * 24 + 5])
        said.append(fit.predict(LEVELS))
    assert np.array_equal(said[0], said[1])


def test_the_look_back_learns_nothing_that_came_later() -> None:
    """What it would have said before the last cell does not depend on that cell."""
    before, after = batch(20), batch(20)
    after.values[:, -1] += 5.0
    said = [looked_back(Fleet(), one, HORIZONS).state() for one in (before, after)]
    assert len(said[0]["blend"]) == max(HORIZONS)
    for name in ("said", "blend"):
        assert np.array_equal(said[0][name], said[1][name], equal_nan=True)
    assert not np.array_equal(said[0]["slow"], said[1]["slow"])


def test_a_fit_goes_on_from_what_was_kept_of_it() -> None:
    everything, known = batch(24), 21 * 24
    fit = FleetFit.begin(Fleet(), everything.cut(0, known), HORIZONS)
    fit.update(everything.values[:, known : known + 9])
    kept = fit.state()
    again = FleetFit.resume(Fleet(), everything.cut(0, known + 9), HORIZONS, kept)
    for one in (fit, again):
        one.update(everything.values[:, known + 9 : known + 40])
    assert fit.predict(LEVELS) == pytest.approx(again.predict(LEVELS), abs=1e-5)
    proof, other = fit.memory.proof(1), again.memory.proof(1)
    assert (proof.coverage, proof.days) == (other.coverage, other.days)
    assert proof.losses == pytest.approx(other.losses)
    assert proof.lately == pytest.approx(other.lately)


def test_only_ticks_that_met_a_value_count_as_judged() -> None:
    """Of a look back of seven days, the first two folds of two days each tell what to expect."""
    values = batch(24).values
    values[1, -30:-6] = np.nan
    known = 24 * 24 - 4
    fit = FleetFit.begin(Fleet(), Batch.of(START, STEP, values[:, :known]), HORIZONS)
    assert [fit.memory.proof(row).days * 24 for row in range(3)] == pytest.approx([72, 48, 72])
    fit.update(values[:, known:])
    assert [fit.memory.proof(row).days * 24 for row in range(3)] == pytest.approx([76, 48 + 4, 76])
    fit.update(np.full((3, 5), np.nan, dtype=np.float32))
    assert fit.memory.proof(0).days * 24 == pytest.approx(76)


def test_quantiles_rise_and_hold_what_they_claim() -> None:
    everything = batch(30, series=8)
    fit = Whole(everything.cut(0, 21 * 24), HORIZONS)
    inside = []
    for tick in range(21 * 24, everything.cells - 4):
        said = fit.predict((0.025, 0.1, 0.9, 0.975))
        assert (np.diff(said, axis=2) >= 0).all()
        for k, horizon in enumerate(HORIZONS):
            came = everything.values[:, tick + horizon - 1]
            inside.append((came >= said[:, k, [1, 0]].T) & (came <= said[:, k, [2, 3]].T))
        fit.update(everything.values[:, tick : tick + 1])
        if tick % 48 == 0:
            fit.refit()
    covered = np.mean(inside, axis=(0, 2))
    assert 0.77 < covered[0] < 0.83
    assert 0.93 < covered[1] < 0.97


def test_it_beats_the_last_value_and_yesterday_on_a_rhythm() -> None:
    everything = batch(24)
    fit = Whole(everything.cut(0, 20 * 24), HORIZONS)
    ours, last, yesterday = [], [], []
    for tick in range(20 * 24, everything.cells - 4):
        came = everything.values[:, tick + 3]
        ours.append(np.abs(fit.points()[:, 2] - came))
        last.append(np.abs(everything.values[:, tick - 1] - came))
        yesterday.append(np.abs(everything.values[:, tick + 3 - 24] - came))
        fit.update(everything.values[:, tick : tick + 1])
    assert np.mean(ours) < 0.8 * min(np.mean(last), np.mean(yesterday))


def test_series_of_all_ages_and_with_gaps_are_forecast_together() -> None:
    values = batch(20, series=5).values
    values[1, : 16 * 24] = np.nan
    values[2, ::5] = np.nan
    values[3] = 0.25
    values[4] = np.nan
    fit = Whole(Batch.of(START, STEP, values), HORIZONS)
    fit.update(np.full((5, 2), np.nan, dtype=np.float32))
    said = fit.predict(LEVELS)
    assert said.shape == (5, len(HORIZONS), len(LEVELS))
    assert np.isfinite(said).all()
    assert (said >= 0).all()
    assert said[3] == pytest.approx(0.25, abs=0.01)


def test_quantiles_stay_within_the_domain() -> None:
    one = batch(20)
    bounded = Batch(one.start, one.step, one.values, np.full(3, 0.2), np.full(3, 0.4))
    said = Whole(bounded, HORIZONS).predict(LEVELS)
    assert said.min() >= 0.2 - 1e-6
    assert said.max() <= 0.4 + 1e-6


def test_a_structure_bears_gaps_and_outliers() -> None:
    clean = Batch.of(START, STEP, [rhythm(14, noise=0.005)])
    hurt = clean.values.copy()
    hurt[0, 50:90] = np.nan
    hurt[0, 100::97] = 2.0
    times = clean.middles(14 * 24, 15 * 24)
    plain, bent = (
        ridge.fit(Batch.of(START, STEP, v), ridge.Shape()).at(times) for v in (clean.values, hurt)
    )
    assert np.abs(plain - bent).max() < 0.1


def test_a_holiday_that_comes_again_is_expected() -> None:
    values = rhythm(21, noise=0.005)
    holidays = [Event("holiday", START + d * DAY, START + (d + 1) * DAY) for d in (8, 15, 22)]
    for day in (8, 15):
        values[day * 24 + 1 : (day + 1) * 24 + 1] *= 0.4
    known = Batch.of(START, STEP, [values])
    shapes = ridge.Shape(), ridge.Shape(events=tuple(holidays))
    times = known.middles(22 * 24 + 1, 23 * 24 + 1)
    usual, told = (ridge.fit(known, shape).at(times).mean() for shape in shapes)
    assert told < 0.75 * usual


def test_residuals_are_corrected_without_a_python_loop_over_series() -> None:
    """Each series of a batch gets what it gets alone."""
    several = batch(16, series=40)
    settings = direct.Settings()
    together = views.fit_period(several, HORIZONS, settings).replay(several, 15 * 24)
    alone = several.only(np.array([37]))
    assert views.fit_period(alone, HORIZONS, settings).replay(alone, 15 * 24)[0] == pytest.approx(
        together[37], abs=1e-4
    )
