from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime, isoformat
from foreshadow.domain.control import Control
from foreshadow.domain.decision import Decision, Ranked, Signal, Trigger, Verdict
from foreshadow.domain.errors import MetricsError, SpecError
from foreshadow.domain.moves import Outcome, Plan, Seen, Switchover
from foreshadow.operations.observe import observe
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource

START = 1_000_000.0
TERMS = {"load_similarity": 0.8, "network_proximity": 0.9, "availability": 0.7}


def demand(at: float) -> float:
    """Return 50 requests per second, and 90 from ten minutes after the start."""
    return 90.0 if at > START + 600 else 50.0


@pytest.fixture
def world(tmp_path: Path) -> Metered:
    metered = open_metered(
        tmp_path, {("shop", "rate"): demand, ("shop", "latency"): lambda _: 0.02}
    )
    add_hosts(metered.ledger, a=100, b=300)
    metered.ledger.put_resource(resource("shop", "a"))
    return metered


def decide(world: Metered, **keys: Any) -> str:
    values: dict[str, Any] = {
        "id": "d1", "resource": "shop", "at": MetricTime(START), "decided_at": WallTime(START),
        "verdict": Verdict.SWITCH, "trigger": Trigger.FORECAST, "reasons": ("It will breach.",),
        "breach_at": MetricTime(START + 700),
        "signals": {"utilization": Signal(predicted=0.95, threshold=0.8),
                    "latency": Signal(baseline=0.02)},
        "destination": Ranked("b", 0.8, TERMS),
    }  # fmt: skip
    decision = Decision(**{**values, **keys})
    world.ledger.record_decision(decision)
    return decision.id


def move(world: Metered, name: str, decision_id: str | None, at: float, **keys: Any) -> None:
    """Journal a finished switchover from ``a`` to ``b`` that took ten seconds."""
    lease = world.ledger.acquire("shop", f"test-{name}", 60.0, lambda _: True)
    plan = Plan("shop", Seen("s", "a", "b", (), "frozen"), (), (100,), 0.0, False, False,
                decision_id, WallTime(at))  # fmt: skip
    made = Switchover(name, "shop", "a", "b", plan, lease.token, WallTime(at),
                      decision_id=decision_id)  # fmt: skip
    world.ledger.begin(lease, made)
    done = {"outcome": Outcome.SWITCHED, "pivoted": True, "ended_at": WallTime(at + 10), **keys}
    if done["pivoted"]:
        world.ledger.pivot(lease, name)
    world.ledger.finish(lease, replace(made, **done))
    world.ledger.release(lease)


@pytest.fixture
def moved(world: Metered) -> Metered:
    move(world, "m1", decide(world), START)
    return world


def test_not_due_before_the_window_and_the_breach_have_passed(moved: Metered) -> None:
    moved.time = START + 400
    assert not observe(moved, None, 300).changed
    assert observe(moved, None, 300).apply() == {
        "outcomes": [],
        "weights": {"before": {}, "after": {}},
    }


def test_what_was_observed_stands_beside_what_was_predicted(moved: Metered) -> None:
    moved.time = START + 2000
    change = observe(moved, ["shop"], "20m")
    assert change.changed
    (got,) = change.apply()["outcomes"]
    assert (got["predicted_source"], got["source_utilization"]) == (0.95, 0.9)
    assert got["predicted_destination"] == pytest.approx(0.3)
    assert got["utilization"] == pytest.approx(0.3)
    assert got["breach"] is True
    assert (got["latency"], got["baseline_latency"]) == (0.02, 0.02)
    assert got["note"] == ""


def test_a_second_run_has_nothing_due(moved: Metered) -> None:
    moved.time = START + 2000
    observe(moved, None, "20m").apply()
    assert not observe(moved, None, "20m").changed
    assert len(moved.ledger.outcomes("shop")) == 1


def test_check_mode_measures_and_keeps_nothing(moved: Metered) -> None:
    moved.time = START + 2000
    change = observe(moved, None, "20m")
    assert change.changed
    assert change.preview["outcomes"]
    assert moved.ledger.outcomes() == ()
    assert moved.ledger.learned_weights("shop") is None


def test_weights_move_a_little_to_the_term_that_was_right(moved: Metered) -> None:
    moved.time = START + 2000
    weights = observe(moved, None, "20m").apply()["weights"]
    before, after = weights["before"]["shop"], weights["after"]["shop"]
    assert before == {"load_similarity": 0.3, "network_proximity": 0.2, "availability": 0.5}
    assert 0.5 < after["availability"] < 0.55  # it foretold the headroom exactly
    assert moved.ledger.learned_weights("shop") == after
    assert moved.ledger.pair_terms("shop") == {"b": pytest.approx(0.3)}


def test_a_slow_host_is_remembered(moved: Metered) -> None:
    moved.curves["shop", "latency"] = lambda _: 0.08
    moved.time = START + 2000
    observe(moved, None, "20m").apply()
    assert moved.ledger.pair_terms("shop")["b"] < 0


def test_pinned_weights_are_left_alone(moved: Metered) -> None:
    moved.ledger.put_control(Control().pin("shop", TERMS))
    moved.time = START + 2000
    weights = observe(moved, None, "20m").apply()["weights"]
    assert weights["before"] == weights["after"]
    assert moved.ledger.learned_weights("shop") is None
    assert moved.ledger.outcomes("shop")


def test_a_stay_that_was_cut_short_is_measured_up_to_there(moved: Metered) -> None:
    move(moved, "m2", None, START + 500)
    moved.time = START + 560 + 60
    (only,) = observe(moved, None, 3600).apply()["outcomes"]
    assert only["switchover_id"] == "m1"
    assert only["end"] == isoformat(START + 500)
    assert only["breach"] is None
    assert only["note"] == "it moved on before the breach that was expected"


def test_one_without_a_decision_or_a_sample_is_told_and_not_asked_again(world: Metered) -> None:
    world.curves.clear()
    move(world, "m1", None, START)
    world.time = START + 5000
    (got,) = observe(world, None, "20m").apply()["outcomes"]
    assert "no sample of shop on b" in got["note"]
    assert not observe(world, None, "20m").changed


def test_a_source_that_does_not_answer_is_an_error_and_it_stays_due(moved: Metered) -> None:
    moved.time = START + 2000
    moved.broken = True
    with pytest.raises(MetricsError, match="resource shop"):
        observe(moved, None, "20m")
    moved.broken = False
    assert observe(moved, None, "20m").changed


def test_one_that_never_pivoted_is_not_measured(world: Metered) -> None:
    move(world, "m1", None, START, outcome=Outcome.ROLLED_BACK, pivoted=False)
    world.time = START + 5000
    assert not observe(world).changed


def test_a_window_that_is_no_duration_is_refused(world: Metered) -> None:
    with pytest.raises(SpecError, match="window"):
        observe(world, None, "soon")
