import itertools
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.decision import Block, Ranked, Rejection
from foreshadow.domain.spec import PolicySpec
from foreshadow.domain.windows import WindowSpec
from foreshadow.policy.destinations import Candidate, Need, choose
from foreshadow.policy.flapping import Moved
from foreshadow.policy.guards import Facts, guards

NOW = WallTime(1_000_000.0)
FREE = PolicySpec(mode="automatic", drill_max_age=None)
NOWADAYS = WindowSpec.model_validate({"from": "1970-01-01", "to": "1980-01-01"})
ELSEWHEN = WindowSpec.model_validate({"from": "1980-01-01", "to": "1990-01-01"})


def blocks(**keys: Any) -> list[Block]:
    return [found.by for found in guards(Facts(**{"now": NOW, "policy": FREE, **keys}))]


def test_nothing_stands_against_a_resource_at_rest_in_automatic_mode() -> None:
    assert blocks() == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"policy": PolicySpec(drill_max_age=None)}, Block.MODE),
        ({"policy": PolicySpec(mode="manual", drill_max_age=None)}, Block.MODE),
        ({"paused": "a person has paused all switching"}, Block.PAUSED),
        ({"actor": "host:1:2:3"}, Block.IN_PROGRESS),
        ({"moved_at": WallTime(NOW - 1799)}, Block.COOLDOWN),
        ({"others_moving": 2}, Block.CONCURRENCY),
        ({"moves_today": 24}, Block.COOLDOWN),
        (
            {
                "arrived_at": WallTime(NOW - 59),
                "policy": FREE.model_copy(update={"min_stay": 60.0}),
            },
            Block.COOLDOWN,
        ),
        ({"policy": FREE.model_copy(update={"windows": (ELSEWHEN,)})}, Block.WINDOW),
        ({"blackouts": (NOWADAYS,)}, Block.WINDOW),
        ({"drift": "lb-1 sends 50 % to edge-b"}, Block.DRIFT),
    ],
)
def test_each_guard_speaks_for_itself(keys: dict[str, Any], expected: Block) -> None:
    assert blocks(**keys) == [expected]


def there_and_back(*hours_ago: float) -> tuple[Moved, ...]:
    ways = itertools.cycle([("edge-a", "edge-b"), ("edge-b", "edge-a")])
    return tuple(Moved(*next(ways), WallTime(NOW - 3600 * ago)) for ago in hours_ago)


def test_two_moves_back_within_a_window_close_automation_until_a_person_looks() -> None:
    flapping = there_and_back(30, 29, 28)
    assert blocks(moves=flapping) == [Block.FLAPPING], "time alone does not open it again"
    assert blocks(moves=flapping, acknowledged=WallTime(NOW - 3600 * 27)) == []
    assert blocks(moves=there_and_back(30, 29)) == []
    assert blocks(moves=there_and_back(30, 20, 10)) == []


def test_the_cooldown_ends() -> None:
    assert blocks(moved_at=WallTime(NOW - 1800)) == []


def need(**keys: Any) -> Need:
    return Need(**{"now": NOW, "policy": FREE, **keys})


def candidate(host: str, score: float = 0.5, **keys: Any) -> Candidate:
    rejected = keys.pop("rejected", None)
    return Candidate(Ranked(host, score, rejected=rejected), **keys)


def test_without_a_shadow_there_is_nowhere_to_go() -> None:
    choice = choose([], need())
    assert choice.destination is None
    assert [b.by for b in choice.blocks] == [Block.NO_SHADOW]


def test_the_best_one_that_is_fresh_is_taken_before_a_better_stale_one() -> None:
    stale = candidate("edge-b", 0.9, captured_at=WallTime(NOW - 31))
    fresh = candidate("edge-c", 0.5, captured_at=WallTime(NOW - 29))
    choice = choose([stale, fresh], need(max_staleness=30.0))
    assert choice.destination is not None
    assert (choice.destination.host, choice.blocks) == ("edge-c", ())


@pytest.mark.parametrize(
    ("made", "asked", "expected"),
    [
        ({"captured_at": None}, {"max_staleness": 30.0}, Block.STALENESS),
        ({"rejected": Rejection("capacity", "it is too small")}, {}, Block.CAPACITY),
        ({"rejected": Rejection("candidate", "it is not one")}, {}, Block.NO_SHADOW),
        ({"drilled_at": None}, {"policy": PolicySpec(mode="automatic")}, Block.DRILL),
        ({"utilization": 0.85}, {"utilization": 0.95, "threshold": 0.8}, Block.NO_BENEFIT),
        ({"utilization": 0.75}, {"utilization": 0.7, "threshold": 0.8}, Block.NO_BENEFIT),
        ({"trouble": "edge-b is in trouble itself"}, {}, Block.NO_BENEFIT),
    ],
)
def test_what_stands_against_the_only_one_is_told(
    made: dict[str, Any], asked: dict[str, Any], expected: Block
) -> None:
    choice = choose([candidate("edge-b", **made)], need(**asked))
    assert [b.by for b in choice.blocks] == [expected]
    assert all("edge-b" in b.reason for b in choice.blocks)


def test_a_drill_that_came_home_lately_proves_the_way_and_manual_mode_asks_for_none() -> None:
    asked = need(policy=PolicySpec(mode="automatic", drill_max_age="30d"))
    drilled = candidate("edge-b", drilled_at=WallTime(NOW - 86400))
    assert choose([drilled], asked).blocks == ()
    manual = need(policy=PolicySpec(mode="manual", drill_max_age="30d"))
    assert choose([candidate("edge-b")], manual).blocks == ()


@pytest.mark.parametrize(
    ("hours_ago", "there", "blocked"),
    [
        (1, 0.67, False),  # below 0.8 * (1 - 0.15) = 0.68
        (1, 0.70, True),
        (1, 0.85, True),
        (7, 0.70, False),  # longer ago than flap_window: a host like any other
        (7, 0.85, True),
    ],
)
def test_a_host_is_gone_back_to_at_a_lower_threshold_than_it_was_left_at(
    hours_ago: float, there: float, blocked: bool
) -> None:
    left = candidate("edge-b", utilization=there, left_at=WallTime(NOW - 3600 * hours_ago))
    choice = choose([left], need(utilization=0.95, threshold=0.8))
    assert [b.by for b in choice.blocks] == ([Block.NO_BENEFIT] if blocked else [])


def test_the_reason_for_not_going_back_has_both_thresholds_worth_of_figures() -> None:
    left = candidate("edge-b", utilization=0.70, left_at=WallTime(NOW - 3600))
    (block,) = choose([left], need(utilization=0.95, threshold=0.8)).blocks
    assert block.reason == (
        "edge-b was left 1h ago and would be at 0.70; it is gone back to below 0.68"
    )


def test_another_host_is_taken_before_one_that_was_left_lately() -> None:
    left = candidate("edge-b", 0.9, utilization=0.70, left_at=WallTime(NOW - 3600))
    other = candidate("edge-c", 0.5, utilization=0.75)
    choice = choose([left, other], need(utilization=0.95, threshold=0.8))
    assert choice.destination is not None
    assert (choice.destination.host, choice.blocks) == ("edge-c", ())
