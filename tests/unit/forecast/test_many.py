"""Many histories at once: kept between calls, known again, and each as if it were alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.decision import Block, Blocked
from foreshadow.domain.series import Series
from foreshadow.forecast.batch import Batch
from foreshadow.forecast.fleet import Fleet
from foreshadow.forecast.history import Array, History, history_of, too_poor
from foreshadow.forecast.many import Asked, _loaded, _text, forecast_many
from foreshadow.forecast.margin import Limit
from foreshadow.forecast.model import Memory
from foreshadow.forecast.outlook import Outlook
from foreshadow.forecast.views import View
from tests.unit.forecast.days import START, STEP, rhythm

KNOWN = 24 * 24 + 6


def asked(values: Array, name: str = "shop utilization") -> Asked:
    history = History(START, STEP, values)
    return Asked(name, history, float(history.end), 3 * STEP)


class Counting:
    """Counts what is fitted."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fits = 0
        original = Fleet.views

        def views(*args: object) -> object:
            self.fits += 1
            return original(*args)  # type: ignore[arg-type]

        patch.setattr(Fleet, "views", views)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


def many(several: list[Asked], shelf: Memory) -> dict[str, Outlook]:
    found = {}
    for name, outlook in forecast_many(several, shelf).items():
        assert isinstance(outlook, Outlook), outlook
        found[name] = outlook
    return found


def of(values: Array, shelf: Memory) -> Outlook:
    return many([asked(values)], shelf)["shop utilization"]


def test_it_is_right_about_a_rhythm_and_may_act_on_it() -> None:
    values = rhythm(26)
    outlook = of(values[:KNOWN], Memory())
    assert outlook.gate.open, outlook.gate
    assert outlook.model.name == "fleet"
    for q, truth in zip(outlook.path, values[KNOWN : KNOWN + 4], strict=True):
        assert abs(q.point - truth) < 0.12
        assert q.quantile(0.01) - 0.05 < truth < q.quantile(0.99) + 0.05


def test_a_tick_fits_nothing_and_a_day_does(counting: Counting) -> None:
    values, shelf = rhythm(27), Memory()
    first = of(values[:KNOWN], shelf)
    cold, counting.fits = counting.fits, 0
    assert cold > 1
    second = of(values[: KNOWN + 1], shelf)
    assert counting.fits == 0
    assert second.path[0].at == first.path[1].at
    of(values[: KNOWN + 24], shelf)
    assert counting.fits == 1


def test_what_is_kept_goes_on_as_if_it_had_never_stopped() -> None:
    values, shelf = rhythm(27), Memory()
    for cell in range(KNOWN, KNOWN + 6):
        stepwise = of(values[:cell], shelf)
    other = Memory()
    of(values[:KNOWN], other)
    at_once = of(values[: KNOWN + 5], other)
    for one, two in zip(stepwise.path, at_once.path, strict=True):
        assert one.values == pytest.approx(two.values, abs=1e-4)


def test_another_history_under_the_same_name_is_fitted_anew(counting: Counting) -> None:
    shelf = Memory()
    of(rhythm(27)[:KNOWN], shelf)
    counting.fits = 0
    outlook = of(100 * rhythm(27)[: KNOWN + 1], shelf)
    assert counting.fits > 1
    assert outlook.path[0].point > 10


def test_some_late_samples_do_not_make_it_forget(counting: Counting) -> None:
    values, shelf = rhythm(27), Memory()
    values[KNOWN - 3] = np.nan
    of(values[:KNOWN], shelf)
    counting.fits = 0
    values[KNOWN - 3] = 0.3
    of(values[: KNOWN + 1], shelf)
    assert counting.fits == 0


class Shelf(Memory):
    """Counts what is written, and shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[str, str]] = []

    def put(self, key: str, text: str) -> None:
        super().put(key, text)
        self.written.append((key, text))


def test_asked_again_before_the_next_cell_nothing_is_written() -> None:
    values, shelf = rhythm(27), Shelf()
    first = of(values[:KNOWN], shelf)
    assert of(values[:KNOWN], shelf) == first
    assert len(shelf.written) == 1
    of(values[: KNOWN + 1], shelf)
    assert len(shelf.written) == 2


def test_a_kept_text_that_is_damaged_is_fitted_anew(counting: Counting) -> None:
    values, shelf = rhythm(27), Shelf()
    of(values[:KNOWN], shelf)
    key, text = shelf.written[-1]
    cut = [text[:length] for length in (0, 1, 500, -7)]
    altered = [f"{text[:2000]}~~~~~{text[2005:]}", f"{text[:-500]}{'0' * 500}", "\n"]
    for each in (*cut, *altered, _text([{"rows": np.array([0]), "newest": np.array(START)}])):
        Memory.put(shelf, key, each)
        counting.fits = 0
        assert of(values[:KNOWN], shelf) == of(values[:KNOWN], Memory())
        assert counting.fits > 1
        assert shelf.get(key) == text


def test_a_bucket_that_cannot_be_fitted_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Fleet.views

    def views(self: Fleet, batch: Batch, horizons: tuple[int, ...]) -> tuple[View, ...]:
        if len(horizons) > 4:
            raise np.linalg.LinAlgError("Singular matrix")
        return original(self, batch, horizons)

    monkeypatch.setattr(Fleet, "views", views)
    good, bad = asked(rhythm(20), "good"), replace(asked(rhythm(20), "bad"), horizon=6 * STEP)
    found = forecast_many([good, bad], Memory())
    assert isinstance(found["good"], Outlook)
    why = "the model cannot be fitted: Singular matrix"
    assert found["bad"] == Blocked(Block.METRICS, why)


def test_a_young_series_is_fitted_as_a_young_one_also_after_a_refit() -> None:
    values, shelf = rhythm(5), Shelf()
    for cell in range(3 * 24 + 5, len(values)):
        of(values[:cell], shelf)
    resumed = len(_loaded(shelf.written[-1][1])[0]["coefficients"])
    of(values[: len(values) - 1], cold := Shelf())
    assert resumed == len(_loaded(cold.written[-1][1])[0]["coefficients"])
    assert resumed < 40


def test_the_gate_stays_shut_until_three_days_were_judged() -> None:
    """The first two folds of the look back only tell what to expect."""
    draw, hour = np.random.default_rng(4), np.arange(10 * 24)
    values = 0.4 - 0.25 * np.cos(2 * np.pi * hour / 24)
    for k, shock in enumerate(draw.normal(0, 0.02, len(hour) - 1), 1):
        values[k:] += 0.8 ** np.arange(len(hour) - k) * shock
    gates = {days: of(values[: days * 24], Memory()).gate for days in (4, 5, 6, 7, 8)}
    assert not any(gate.open for gate in gates.values())
    assert gates[6].reason.startswith("the forecast could be tested on the last 0.1 days only")
    assert gates[8].reason.startswith("the forecast could be tested on the last 2.1 days only")
    assert "could be tested" not in of(values[: 9 * 24], Memory()).gate.reason
    shelf = Memory()
    of(values[: 6 * 24], shelf)
    judged = [
        "could be tested" not in of(values[:cell], shelf).gate.reason
        for cell in range(6 * 24 + 1, 9 * 24 + 6)
    ]
    # Two ticks were judged at first, the one after them is the third; 72 are needed.
    assert judged.index(True) == 72 - 3


def test_a_small_budget_of_false_alarms_asks_for_a_margin() -> None:
    values = rhythm(27)[:KNOWN]
    found = {}
    for budget in (100.0, 1.0):
        one = replace(asked(values), limit=Limit(float(np.max(values)), 0.95, budget))
        found[budget] = many([one], Memory())[one.name]
    assert found[100.0].margin == 0.0
    assert 0.0 < found[1.0].margin < 0.2
    assert found[100.0].path == found[1.0].path


def test_a_limit_that_is_never_near_asks_for_no_margin() -> None:
    one = replace(asked(rhythm(27)[:KNOWN]), limit=Limit(50.0, 0.8, 1.0))
    assert many([one], Memory())[one.name].margin == 0.0


def test_a_question_about_the_past_is_answered_from_what_was_known_then(
    counting: Counting,
) -> None:
    values, shelf = rhythm(27), Memory()
    of(values[: KNOWN + 10], shelf)
    assert of(values[:KNOWN], shelf) == of(values[:KNOWN], Memory())


def test_many_are_forecast_as_each_alone() -> None:
    everything = {f"r{k} latency": rhythm(24, seed=k)[k % 3 :] for k in range(40)}
    several = [
        asked(values[: len(values) - k % 3], name)
        for k, (name, values) in enumerate(everything.items())
    ]
    together = many(several, Memory())
    assert sorted(together) == sorted(everything)
    for one in several[::13]:
        alone = many([one], Memory())[one.name]
        for mine, theirs in zip(alone.path, together[one.name].path, strict=True):
            assert mine.values == pytest.approx(theirs.values, rel=0.02, abs=2e-3)


def test_a_regime_that_changed_shuts_the_gate_within_a_day() -> None:
    values, shelf = rhythm(28), Memory()
    assert of(values[:KNOWN], shelf).gate.open
    draw = np.random.default_rng(2)
    values[KNOWN:] = draw.uniform(3, 9, len(values) - KNOWN)
    shut = [not of(values[:cell], shelf).gate.open for cell in range(KNOWN + 1, KNOWN + 25)]
    assert shut[-1]


def test_no_numpy_type_gets_out() -> None:
    outlook = of(rhythm(24), Memory())
    first = outlook.path[0]
    plain = [first.at, first.point, *first.values, outlook.gate.skill, outlook.gate.coverage]
    assert {type(value) for value in plain} == {float}
    assert type(outlook.model.points) is int


@settings(max_examples=25, deadline=None)
@given(
    arrays.arrays(
        np.float64,
        st.integers(73, 200),
        elements=st.floats(0, 1e6) | st.sampled_from([0.0, 1.0, math.nan, math.inf, -5.0]),
    )
)
def test_no_series_makes_it_fail(values: Array) -> None:
    end = MetricTime(START + (len(values) - 1) * STEP)
    series = Series(MetricTime(START), STEP, tuple(float(v) for v in values))
    past = history_of(series, end, 30 * 86400.0)
    if too_poor(past, end) is None:
        outlook = many([Asked("x", past, float(end), 3 * STEP)], Memory())["x"]
        assert all(math.isfinite(v) and v >= 0 for q in outlook.path for v in q.values)
        assert all(list(q.values) == sorted(q.values) for q in outlook.path)
