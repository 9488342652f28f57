import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.placement import terms

amounts = st.dictionaries(
    st.sampled_from(["cpu", "memory", "rate"]), st.floats(0, 1e12), max_size=3
)
limits = st.dictionaries(
    st.sampled_from(["cpu", "memory", "rate"]), st.floats(1e-3, 1e12), max_size=3
)


def test_availability_is_what_the_scarcest_kind_leaves() -> None:
    capacity = {"cpu": 4.0, "rate": 100.0}
    assert terms.availability(capacity, {"cpu": 1.0, "rate": 10.0}, {"cpu": 1.0, "rate": 50.0}) == (
        pytest.approx(0.4)
    )


def test_availability_without_limits_is_whole_and_never_below_zero() -> None:
    assert terms.availability({}, {"cpu": 9.0}, {"cpu": 9.0}) == 1.0
    assert terms.availability({"cpu": 1.0}, {"cpu": 9.0}, {}) == 0.0


def test_proximity_falls_with_distance_and_noise_hardly_moves_it() -> None:
    near, noisy, zone, region = (
        terms.network_proximity([rtt]) for rtt in (0.0003, 0.0004, 0.0015, 0.05)
    )
    assert near > zone > region > 0
    assert near - noisy < 0.05
    assert terms.network_proximity([0.0]) == 1.0


def test_the_zones_stand_in_for_what_is_not_measured() -> None:
    assert terms.assumed_round_trip("a", "a") < terms.assumed_round_trip("a", "b")
    assert terms.assumed_round_trip("", "") == terms.assumed_round_trip("a", "b")


def test_a_host_with_free_what_is_needed_is_more_similar() -> None:
    own = {"cpu": 4.0, "memory": 1e9}
    largest = {"cpu": 8.0, "memory": 8e9}
    compute = terms.load_similarity(own, {"cpu": 8.0, "memory": 2e9}, {}, largest, 0.0)
    storage = terms.load_similarity(own, {"cpu": 2.0, "memory": 8e9}, {}, largest, 0.0)
    busy = terms.load_similarity(own, {"cpu": 8.0, "memory": 2e9}, {"cpu": 7.5}, largest, 0.0)
    assert compute > storage
    assert compute > busy


def test_a_good_history_raises_similarity_and_a_bad_one_lowers_it() -> None:
    good, none, bad = (
        terms.load_similarity({"cpu": 1.0}, {"cpu": 4.0}, {}, {"cpu": 4.0}, pair)
        for pair in (1.0, 0.0, -1.0)
    )
    assert good == pytest.approx(1.0)
    assert (good, none, bad) == (pytest.approx(1.0), pytest.approx(0.85), pytest.approx(0.7))


@given(amounts, limits, amounts, st.floats(-1, 1), st.lists(st.floats(0, 10), min_size=1))
def test_every_term_stays_within_its_bounds(
    own: dict[str, float],
    capacity: dict[str, float],
    load: dict[str, float],
    pair: float,
    round_trips: list[float],
) -> None:
    largest = {"cpu": 1e12, "memory": 1e12, "rate": 1e12}
    for value in (
        terms.availability(capacity, load, own),
        terms.load_similarity(own, capacity, load, largest, pair),
        terms.network_proximity(round_trips),
    ):
        assert 0.0 <= value <= 1.0
