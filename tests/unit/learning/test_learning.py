from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.outcomes import Observed
from foreshadow.learning.corrections import FLOOR, STEP, corrected_pair, corrected_weights
from foreshadow.learning.judgement import judge
from foreshadow.placement.weights import TERMS, normalised

WRITTEN = {"load_similarity": 0.3, "network_proximity": 0.2, "availability": 0.5}
TERMS_THEN = {"load_similarity": 0.8, "network_proximity": 0.9, "availability": 0.5}
OUTCOME = Observed(
    "s1", "shop", "a", "b", MetricTime(0.0), MetricTime(600.0), WallTime(700.0),
    predicted_destination=0.5, utilization=0.5, latency=0.1, baseline_latency=0.1,
)  # fmt: skip

weights = st.fixed_dictionaries({term: st.floats(0.01, 1) for term in TERMS}).map(normalised)
losses = st.dictionaries(st.sampled_from(TERMS), st.floats(0, 1))


def test_a_promise_that_was_kept_costs_nothing() -> None:
    got = judge(OUTCOME, TERMS_THEN)
    assert got.suited == 1.0
    assert got.losses["availability"] == 0.0
    assert got.losses["network_proximity"] == pytest.approx(0.1)


def test_a_slow_and_full_host_is_unsuited() -> None:
    got = judge(replace(OUTCOME, utilization=0.9, latency=0.2), TERMS_THEN)
    assert got.suited == pytest.approx(0.2)  # a fifth of the promised headroom was there
    assert got.losses["availability"] == pytest.approx(0.4)
    assert got.losses["load_similarity"] == pytest.approx(0.6)


def test_what_was_not_observed_is_not_judged() -> None:
    blind = replace(OUTCOME, utilization=None, latency=None)
    assert judge(blind, TERMS_THEN) == judge(blind, {})
    assert judge(blind, TERMS_THEN).suited is None
    only_latency = judge(replace(OUTCOME, utilization=None), TERMS_THEN)
    assert set(only_latency.losses) == {"network_proximity", "load_similarity"}


def test_the_term_that_misjudged_loses_weight_to_the_others() -> None:
    after = corrected_weights(WRITTEN, WRITTEN, {**dict.fromkeys(TERMS, 0.0), "availability": 0.6})
    assert after["availability"] < 0.5
    assert after["load_similarity"] > 0.3
    assert after["network_proximity"] > 0.2


def test_a_term_that_was_not_judged_keeps_its_weight() -> None:
    after = corrected_weights(WRITTEN, WRITTEN, {"load_similarity": 0.0, "network_proximity": 1.0})
    assert after["availability"] == pytest.approx(0.5)
    assert after["load_similarity"] > 0.3


@given(weights, weights, losses)
def test_one_outcome_moves_little_and_the_sum_stays(
    before: dict[str, float], written: dict[str, float], lost: dict[str, float]
) -> None:
    after = corrected_weights(before, written, lost)
    assert sum(after.values()) == pytest.approx(1.0)
    assert all(abs(after[term] - before[term]) <= STEP + 1e-9 for term in TERMS)
    if not lost:
        assert after == pytest.approx(before)


@given(st.lists(losses, min_size=1, max_size=60))
def test_no_term_dies_however_often_it_is_wrong(history: list[dict[str, float]]) -> None:
    now = WRITTEN
    for lost in [*history, *([{**dict.fromkeys(TERMS, 0.0), "availability": 1.0}] * 60)]:
        now = corrected_weights(now, WRITTEN, lost)
    assert all(weight >= FLOOR - 1e-9 for weight in now.values())


def test_a_constant_bias_ends_short_of_the_edge_and_fades_when_it_is_gone() -> None:
    now = WRITTEN
    for _ in range(200):
        now = corrected_weights(now, WRITTEN, {**dict.fromkeys(TERMS, 0.0), "availability": 0.1})
    assert FLOOR < now["availability"] < 0.5
    for _ in range(200):
        now = corrected_weights(now, WRITTEN, dict.fromkeys(TERMS, 0.0))
    assert now == pytest.approx(WRITTEN, abs=1e-3)


def test_what_a_person_wrote_as_zero_stays_zero() -> None:
    written = {"load_similarity": 0.0, "network_proximity": 0.2, "availability": 0.8}
    after = corrected_weights(written, written, {"availability": 1.0, "network_proximity": 0.0})
    assert after["load_similarity"] == 0.0


def test_pair_terms_move_towards_what_was_seen_and_stay_bounded() -> None:
    assert corrected_pair(0.0, 1.0) == pytest.approx(0.3)
    assert corrected_pair(0.0, 0.0) == pytest.approx(-0.3)
    pair = 0.0
    for _ in range(100):
        pair = corrected_pair(pair, 1.0)
    assert 0.99 < pair <= 1.0
