import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.series import Series
from foreshadow.forecast.forecaster import MOST_STEPS, forecast
from foreshadow.forecast.history import History, history_of, steps, too_poor
from foreshadow.forecast.intervals import LEVELS, quantiles
from foreshadow.forecast.model import Memory
from foreshadow.forecast.outlook import Outlook, Quantiles
from tests.unit.forecast.days import START, STEP, history, rhythm
from tests.unit.forecast.test_backtest import flat_structure


@pytest.fixture(scope="module")
def shelf() -> Memory:
    return Memory()


@pytest.fixture(scope="module")
def outlook(shelf: Memory) -> Outlook:
    return forecast(history(rhythm(28)[: 27 * 24 + 6]), 3 * STEP, shelf)


def test_the_real_thing_is_right_about_a_rhythm(outlook: Outlook) -> None:
    truth = rhythm(28)[27 * 24 + 6 :]
    assert [q.at for q in outlook.path[:2]] == [
        START + (27 * 24 + 5.5) * STEP,
        START + (27 * 24 + 6.5) * STEP,
    ]
    assert outlook.gate.open, outlook.gate
    assert outlook.gate.skill is not None
    assert outlook.gate.skill > 0.2
    assert all(abs(q.point - t) < 0.12 for q, t in zip(outlook.path, truth[:4], strict=True))


def test_the_second_time_nothing_is_fitted(shelf: Memory, outlook: Outlook) -> None:
    def refuse(seen: History) -> object:
        raise AssertionError("fitted again")

    past = history(rhythm(28)[: 27 * 24 + 6])
    assert forecast(past, 3 * STEP, shelf, refuse) == outlook  # type: ignore[arg-type]
    # An hour later the fits are still those of the last boundary.
    later = history(rhythm(28)[: 27 * 24 + 7])
    assert forecast(later, 3 * STEP, shelf, refuse).path != outlook.path  # type: ignore[arg-type]


def test_predicting_from_coefficients_imports_neither_prophet_nor_pandas() -> None:
    code = (
        "import sys; from foreshadow.forecast.forecaster import forecast; "
        "from foreshadow.forecast.model import Memory; "
        "from tests.unit.forecast.days import history, rhythm; "
        "from tests.unit.forecast.test_backtest import flat_structure; "
        "forecast(history(rhythm(20)), 7200.0, Memory(), flat_structure); "
        "print([m for m in ('prophet', 'pandas', 'cmdstanpy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_no_numpy_type_gets_out(outlook: Outlook) -> None:
    first = outlook.path[0]
    values = [first.at, first.point, *first.values, outlook.gate.skill, outlook.gate.coverage]
    assert {type(value) for value in values} == {float}
    assert type(outlook.model.points) is int


def test_quantiles_rise_and_the_interval_holds_about_what_it_claims() -> None:
    draw = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        errors = draw.normal(0, 1, 40)
        assert (np.diff(quantiles(errors, LEVELS)) >= 0).all()
        lower, upper = quantiles(errors, (0.1, 0.9))
        fresh = draw.normal(0, 1, 100)
        covered.append(((fresh >= lower) & (fresh <= upper)).mean())
    assert 0.77 < np.mean(covered) < 0.84


def test_a_distribution_tells_quantiles_and_the_chance_to_exceed() -> None:
    q = Quantiles(MetricTime(0), 5.0, (0.1, 0.5, 0.9), (1.0, 5.0, 9.0))
    assert (q.quantile(0.5), q.quantile(0.7), q.quantile(0.99)) == (5.0, 7.0, 9.0)
    assert q.exceeds(7.0) == pytest.approx(0.3)
    assert q.exceeds(0.0) == 0.9
    assert q.exceeds(10.0) == pytest.approx(0.1)


def test_a_long_horizon_is_covered_by_some_of_its_cells() -> None:
    assert steps(3 * 3600, 3600, MOST_STEPS) == (1, 2, 3, 4)
    assert steps(1800, 300, 8) == (1, 2, 3, 4, 5, 6, 7)
    many = steps(86400, 300, MOST_STEPS)
    assert (len(many), many[0], many[-1]) == (MOST_STEPS, 1, 289)


def series(values: list[float]) -> Series:
    return Series(MetricTime(START), STEP, tuple(values))


def reason(values: list[float], late: float = 0.0) -> str | None:
    end = MetricTime(START + (len(values) - 1) * STEP + late)
    return too_poor(history_of(series(values), end, 30 * 86400.0), end)


@pytest.mark.parametrize(
    ("values", "late", "said"),
    [
        ([], 0.0, "there is no sample"),
        ([math.nan, math.inf] * 60, 0.0, "there is no sample"),
        ([1.0, 2.0] * 20, 0.0, "the history is too short: 1d16h of 40 points"),
        ([1.0, 2.0, math.nan, math.nan] * 30, 0.0, "of the history are gaps"),
        ([1.0, 2.0] * 60, 5 * STEP, "the history ends at 2017-"),
        ([0.25] * 120, 0.0, "the history is flat at 0.25"),
    ],
)
def test_a_poor_history_is_told_in_words(values: list[float], late: float, said: str) -> None:
    assert said in (reason(values, late) or "")


def test_a_good_history_is_not_poor() -> None:
    assert reason(list(rhythm(4))) is None


@settings(max_examples=40, deadline=None)
@example(np.array([0.0, *[2.2e-311] * 72, 1.0, 2.2e-311]))
@given(
    arrays.arrays(
        np.float64,
        st.integers(73, 200),
        elements=st.floats(0, 1e6) | st.sampled_from([0.0, 1.0, math.nan, math.inf, -5.0]),
    )
)
def test_no_series_makes_it_fail(values: np.ndarray) -> None:
    end = MetricTime(START + (len(values) - 1) * STEP)
    past = history_of(series([float(v) for v in values]), end, 30 * 86400.0)
    if too_poor(past, end) is None:
        outlook = forecast(past, 3 * STEP, Memory(), flat_structure)
        assert all(math.isfinite(v) and v >= 0 for q in outlook.path for v in q.values)
        assert all(list(q.values) == sorted(q.values) for q in outlook.path)
