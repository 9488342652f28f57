import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.series import Window
from foreshadow.metrics.grid import resample

WINDOW = Window(MetricTime(0), MetricTime(300), 60.0)


def test_a_cell_holds_the_mean_of_what_ended_in_it_and_a_gap_otherwise() -> None:
    samples = [(240.0, 9.0), (0.0, 100.0), (60.0, 1.0), (61.0, 2.0), (120.0, 4.0)]
    series = resample(samples, WINDOW)
    assert series is not None
    assert series.times() == (60.0, 120.0, 180.0, 240.0, 300.0)
    assert series.values[:2] == (1.0, 3.0)
    assert series.values[3] == 9.0
    assert math.isnan(series.values[2])
    assert math.isnan(series.values[4])


def test_of_two_samples_at_one_time_the_later_one_counts() -> None:
    series = resample([(30.0, 5.0), (30.0, 7.0)], WINDOW)
    assert series is not None
    assert series.values[0] == 7.0


def test_infinity_and_nan_are_no_samples() -> None:
    assert resample([(30.0, math.inf), (90.0, math.nan)], WINDOW) is None


def test_a_time_stamp_that_is_a_hair_off_belongs_to_its_grid_point() -> None:
    series = resample([(60.0 + 1e-7, 5.0)], WINDOW)
    assert series is not None
    assert series.values[0] == 5.0


@given(
    st.lists(
        st.tuples(
            st.floats(-1000, 1000), st.floats(-1e9, 1e9) | st.sampled_from([math.inf, math.nan])
        )
    ),
    st.floats(1, 500),
)
def test_whatever_comes_in_the_grid_is_regular_and_the_values_finite(
    samples: list[tuple[float, float]], step: float
) -> None:
    window = Window(MetricTime(-500), MetricTime(500), step)
    series = resample(samples, window)
    finite = [(at, value) for at, value in samples if math.isfinite(value)]
    if series is None:
        assert not any(window.start < at < window.end - step for at, _ in finite)
        return
    assert series.times() == pytest.approx(window.grid())
    known = [value for value in series.values if not math.isnan(value)]
    assert min(v for _, v in finite) <= min(known)
    assert max(known) <= max(v for _, v in finite)
