import math
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.series import Series
from foreshadow.learning.observation import Moved, Seen, observed

STEP = 60.0
DECISION: dict[str, Any] = {
    "signals": {
        "utilization": {"predicted": 0.95, "threshold": 0.8},
        "latency": {"baseline": 0.02},
    },
    "destination": {"host": "b", "terms": {"availability": 0.6}},
}


def series(*values: float) -> Series:
    """Return values at 60, 120, … seconds of metric time."""
    return Series(MetricTime(STEP), STEP, values)


def moved(**keys: Any) -> Moved:
    values: dict[str, Any] = {
        "switchover_id": "s", "resource": "shop", "source": "a", "destination": "b",
        "start": MetricTime(180.0), "end": MetricTime(480.0), "decided_at": MetricTime(60.0),
        "decision": DECISION,
    }  # fmt: skip
    return Moved(**{**values, **keys})


DEMAND = {"rate": series(40, 50, 60, 70, 90, 95, 60, 50, 999)}


def look(move: Moved, seen: Seen) -> Any:
    return observed(move, seen, {"rate": 100.0}, {"rate": 200.0, "cpu": 4.0}, WallTime(1000.0))


def test_the_peak_on_the_new_host_and_what_it_would_have_been_on_the_old_one() -> None:
    got = look(moved(), Seen(demand=DEMAND, latency=series(9, 9, 9, 0.03, 0.02, 0.04, 0.03, 0.03)))
    assert got.utilization == pytest.approx(0.475)
    assert got.source_utilization == pytest.approx(0.95)
    assert (got.predicted_source, got.predicted_destination) == (0.95, pytest.approx(0.4))
    assert (got.latency, got.baseline_latency) == (0.03, 0.02)
    assert got.breach is True
    assert got.breach_at == pytest.approx(210 + 60 * (0.8 - 0.7) / (0.9 - 0.7))
    assert got.note == ""


def test_a_breach_that_did_not_come_is_told() -> None:
    got = look(moved(), Seen(demand={"rate": series(*[50.0] * 9)}))
    assert got.breach is False
    assert got.breach_at is None


def test_a_utilization_metric_wins_over_demand_and_gaps_are_no_values() -> None:
    seen = Seen(utilization=series(9, 9, 9, 0.3, math.nan, 0.5, math.nan, 0.4), demand=DEMAND)
    assert look(moved(), seen).utilization == 0.5


def test_the_scarcest_kind_counts() -> None:
    seen = Seen(demand={"rate": series(*[50.0] * 8), "cpu": series(*[3.0] * 8)})
    assert look(moved(), seen).utilization == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("seen", "keys", "says"),
    [
        (Seen(), {}, "no sample of shop on b"),
        (Seen(demand={"rate": series(1, 2)}), {}, "no sample of shop on b"),
        (Seen(utilization=series(*[0.5] * 9)), {}, "not measured against the old host"),
        (Seen(demand=DEMAND), {"decision": None}, "moved by hand"),
    ],
)
def test_what_is_missing_is_a_sentence(seen: Seen, keys: dict[str, Any], says: str) -> None:
    got = look(moved(**keys), seen)
    assert got.breach is None
    assert says in got.note


def test_a_decision_without_a_destination_predicts_nothing_about_it() -> None:
    got = look(moved(decision={**DECISION, "destination": None}), Seen(demand=DEMAND))
    assert got.predicted_destination is None
    assert got.predicted_source == 0.95
