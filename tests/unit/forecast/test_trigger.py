"""The trigger model: what it sees, what it learns, and that its probabilities come true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foreshadow.forecast.history import Array
from foreshadow.forecast.trigger import boosting
from foreshadow.forecast.trigger.boosting import Boosted, Growth
from foreshadow.forecast.trigger.calibration import calibrate
from foreshadow.forecast.trigger.events import Reach, alarms, onsets, score, within
from foreshadow.forecast.trigger.features import NAMES, features
from foreshadow.forecast.trigger.model import Judged, Lesson, TriggerModel, cut_for, train

STEP = 300.0
DAY = 288
SMALL = Growth(trees=25, depth=3, rate=0.2, least=10.0)


def breaching(days: float, seed: int, hour: float) -> Array:
    """Noise with a rise to a breach at about the same time of most days, and a false start."""
    draw = np.random.default_rng(seed)
    values = 0.3 + 0.05 * draw.standard_normal(round(days * DAY))
    for day in range(int(days)):
        first = day * DAY + round(hour * 12) + int(draw.integers(-2, 3))
        if draw.random() < 0.9:
            values[first - 6 : first] += np.linspace(0.05, 0.3, 6)
            values[first : first + 12] += 0.6
        other = day * DAY + int(draw.integers(12, DAY - 12))
        values[other : other + 2] += 0.3
    return values


def test_an_onset_lasts_and_comes_after_half_an_hour_of_peace() -> None:
    values = np.zeros(60)
    values[10:14] = 1.0  # lasts
    values[15:20] = 1.0  # too soon after it
    values[30:32] = 1.0  # too short
    values[40], values[42:44] = 1.0, 1.0  # three of four
    values[57:] = 1.0  # not known yet
    assert onsets(values, 0.5, STEP).tolist() == [10, 40]
    values[41] = np.nan
    assert onsets(values, 0.5, STEP).tolist() == [10, 40]


def test_alarms_rest_and_are_scored_by_what_follows() -> None:
    asks = np.zeros(100, dtype=np.bool_)
    asks[[10, 12, 30, 31, 43, 70, 90]] = True
    raised = alarms(asks, 12)
    assert raised.tolist() == [10, 30, 43, 70, 90]
    went = score(raised, np.array([20, 44, 80]), STEP)
    # 44 comes too soon after 43, and 30 was too early for it.
    assert went.caught.tolist() == [True, False, True]
    assert went.leads.tolist() == [3000.0, 3000.0]
    assert went.false == 2  # 30 and 90
    assert Reach.of(STEP) == Reach(2, 12)
    assert Reach.of(3600.0) == Reach(1, 1)


def test_within_counts_the_window_and_its_ends() -> None:
    events = np.array([5, 8])
    assert within(events, np.array([3, 4, 5, 6]), 1, 3).tolist() == [1, 1, 1, 1]
    assert within(events, np.array([2, 5, 8]), 3, 6).tolist() == [2, 1, 0]


@pytest.mark.parametrize("cell", [10, 400, 3000, 4000])
def test_no_feature_depends_on_what_came_after_its_origin(cell: int) -> None:
    values = breaching(15, 3, 9.0)
    other = values.copy()
    other[cell + 1 :] = np.random.default_rng(1).uniform(0, 2, len(values) - cell - 1)
    origins = np.arange(max(0, cell - 50), cell + 1)
    before, after = (features(v, 0.7, STEP, origins) for v in (values, other))
    assert before.shape == (len(origins), len(NAMES))
    np.testing.assert_array_equal(before, after)
    # The check itself can see a difference: the next origin knows one cell more.
    one, another = (features(v, 0.7, STEP, np.array([cell + 1])) for v in (values, other))
    assert not np.array_equal(one, another, equal_nan=True)


@given(
    arrays.arrays(
        np.float64,
        st.integers(2, 400),
        elements=st.floats(-1e17, 1e17) | st.sampled_from([0.0, 1.0, np.nan]),
    )
)
def test_no_history_makes_a_feature_infinite(values: Array) -> None:
    rows = features(values, 0.5, STEP, np.arange(len(values)))
    assert not np.isinf(rows).any()


def test_scale_and_offset_of_a_metric_change_nothing() -> None:
    values, origins = breaching(10, 5, 9.0), np.arange(1000, 2800, 7)
    plain = features(values, 0.7, STEP, origins)
    scaled = features(40 * values, 28.0, STEP, origins)
    np.testing.assert_allclose(plain, scaled, rtol=2e-3, atol=2e-3)


def test_trees_learn_what_no_line_can_and_survive_the_way_through_json() -> None:
    draw = np.random.default_rng(2)
    rows = draw.uniform(-1, 1, (4000, 5))
    rows[draw.random(rows.shape) < 0.05] = np.nan
    truth = ((rows[:, 1] > 0) ^ (rows[:, 3] > 0)).astype(np.float64)
    trees = boosting.fit(rows, truth, np.ones(len(rows)), SMALL)
    fresh = draw.uniform(-1, 1, (1000, 5))
    expected = (fresh[:, 1] > 0) ^ (fresh[:, 3] > 0)
    assert ((trees.log_odds(fresh) > 0) == expected).mean() > 0.93
    again = Boosted.loads(trees.dumps())
    np.testing.assert_allclose(again.log_odds(fresh), trees.log_odds(fresh), atol=1e-4)


def test_a_calibrated_probability_comes_true_as_often_as_it_says() -> None:
    draw = np.random.default_rng(4)
    scores = draw.normal(0, 1, 20000)
    chance = 1 / (1 + np.exp(-3 * scores + 2))
    truth = (draw.random(20000) < chance).astype(np.float64)
    curve = calibrate(scores[:10000], truth[:10000])
    assert list(curve.chances) == sorted(curve.chances)
    told = curve.probability(scores[10000:])
    for low, high in ((0.0, 0.1), (0.3, 0.6), (0.8, 1.01)):
        some = (told >= low) & (told < high)
        assert truth[10000:][some].mean() == pytest.approx(told[some].mean(), abs=0.04)


def lessons(seeds: range) -> list[Lesson]:
    return [Lesson.of(breaching(20, seed, 6.0 + seed % 12), 0.7, STEP) for seed in seeds]


@pytest.fixture(scope="module")
def model() -> TriggerModel:
    return train(lessons(range(8)), lessons(range(20, 24)), SMALL)


def test_recurring_breaches_of_series_never_seen_are_foreseen_within_the_budget(
    model: TriggerModel,
) -> None:
    unseen = [Judged.by(model.trees, lesson) for lesson in lessons(range(40, 46))]
    caught = [
        score(each.alarms(model.cut(1.0)), each.lesson.onsets(), STEP).caught.mean()
        for each in unseen
    ]
    assert np.mean(caught) > 0.6
    assert np.mean([each.false_a_week(model.cut(1.0)) for each in unseen]) < 2.0


def test_noise_is_not_foreseen_and_the_cut_keeps_the_budget() -> None:
    draw = np.random.default_rng(9)
    walk = [
        Lesson.of(np.convolve(draw.standard_normal(20 * DAY), np.ones(6), "same"), 5.0, STEP)
        for _ in range(6)
    ]
    guesses = [
        Judged(lesson, lesson.origins(), draw.random(len(lesson.origins())),
               lesson.truth(lesson.origins()))
        for lesson in walk
    ]  # fmt: skip
    for budget in (0.5, 1.0, 5.0):
        cut = cut_for(guesses, budget)
        assert np.mean([each.false_a_week(cut) for each in guesses]) <= budget


def test_a_model_survives_the_way_through_json(model: TriggerModel) -> None:
    again = TriggerModel.loads(model.dumps())
    rows = lessons(range(50, 51))[0].features(np.arange(3000, 3300))
    np.testing.assert_allclose(again.scores(rows), model.scores(rows), atol=1e-4)
    assert (again.cuts, again.onsets) == (model.cuts, model.onsets)
    cuts = [model.cut(budget) for budget in (0.1, 0.25, 1.0, 1.5, 100.0)]
    assert cuts == sorted(cuts, reverse=True)
    assert (cuts[0], cuts[2]) == (np.inf, cuts[3])


def test_without_an_onset_nothing_is_learned() -> None:
    quiet = [Lesson.of(np.full(DAY * 15, 0.2), 0.7, STEP)]
    with pytest.raises(ValueError, match="no onset"):
        train(quiet, quiet, SMALL)
