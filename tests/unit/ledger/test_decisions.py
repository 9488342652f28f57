"""Which decisions are kept, and what pruning leaves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import (
    Block,
    Decision,
    Gate,
    Model,
    Ranked,
    Signal,
    Trigger,
    Verdict,
)
from foreshadow.domain.errors import UnknownNameError
from foreshadow.domain.moves import Outcome, Plan, Seen, Switchover
from foreshadow.ledger import Ledger
from foreshadow.ledger.decisions import RECENT_SECONDS, ROLLUP_SECONDS
from foreshadow.ledger.retention import DAY, PRUNE_EVERY, RETENTION

START = 1_000 * ROLLUP_SECONDS
TICK = 60.0


def _decision(
    tick: int, verdict: Verdict = Verdict.STAY, resource: str = "checkout", *blocks: Block
) -> Decision:
    at = START + tick * TICK
    return Decision(
        id=f"{resource}-{tick}",
        resource=resource,
        at=MetricTime(at),
        decided_at=WallTime(at),
        verdict=verdict,
        trigger=Trigger.NONE,
        reasons=("nothing will breach",),
        blocked_by=blocks,
    )


def _plan(decision_id: str | None, expires_at: float = START) -> Plan:
    seen = Seen("d", "edge-a", "edge-b", (), "frozen")
    return Plan(
        "checkout", seen, ("x",), (100,), 1.0, False, False, decision_id, WallTime(expires_at)
    )


def _ids(ledger: Ledger) -> list[str]:
    return [each["id"].rpartition("-")[2] for each in reversed(ledger.decisions(limit=1000))]


def test_a_decision_is_read_as_the_lookup_gave_it(ledger: Ledger) -> None:
    decision = dataclasses.replace(
        _decision(0, Verdict.BLOCKED, "checkout", Block.COOLDOWN),
        probability=0.7,
        breach_at=MetricTime(START + 600),
        lead_seconds=600.0,
        signals={"utilization": Signal(now=0.5, predicted=0.9, threshold=0.8)},
        destination=Ranked("edge-b", 0.8, {"availability": 0.9}),
        gate=Gate(open=True, skill=0.3, coverage=0.8, reason="beats the last value"),
        model=Model("prophet", 4032, MetricTime(START)),
    )
    assert ledger.record_decision(decision)
    assert ledger.decision("checkout-0") == {**decision.plain(), "ticks": 1}
    with pytest.raises(UnknownNameError, match=r"did you mean checkout-0\?"):
        ledger.decision("checkout-O")


def test_a_tick_of_a_resource_is_recorded_once(ledger: Ledger) -> None:
    assert ledger.record_decision(_decision(1))
    assert not ledger.record_decision(_decision(1))
    again = dataclasses.replace(_decision(1, Verdict.SWITCH), id="another")
    assert not ledger.record_decision(again)
    assert ledger.record_decision(_decision(1, resource="search"))
    assert len(ledger.decisions("checkout")) == 1


def test_a_gate_that_opens_or_shuts_is_kept_with_its_reason(ledger: Ledger) -> None:
    for tick in range(100):
        gate = Gate(open=40 <= tick < 60, reason=f"as tested at {tick}")
        quiet = Gate(open=True, reason="the other one")
        gates = {"utilization": gate, "latency": quiet}
        ledger.record_decision(dataclasses.replace(_decision(tick), gate=quiet, gates=gates))
    told = {
        each["id"].rpartition("-")[2]: each["gates"]["utilization"]["reason"]
        for each in ledger.decisions(limit=1000)
    }
    assert [tick for tick in told if int(tick) < 80] == ["60", "40", "0"]
    assert (told["40"], told["60"]) == ("as tested at 40", "as tested at 60")


def test_changes_are_kept_and_the_quiet_between_is_counted(ledger: Ledger) -> None:
    verdicts = [Verdict.STAY] * 40 + [Verdict.SWITCH] * 2 + [Verdict.STAY] * 58
    for tick, verdict in enumerate(verdicts):
        ledger.record_decision(_decision(tick, verdict))
    kept = _ids(ledger)
    recent = [str(tick) for tick in range(100 - int(RECENT_SECONDS / TICK) - 1, 100)]
    assert kept == ["0", "40", "42", *recent]
    assert sum(each["ticks"] for each in ledger.decisions()) == 100
    assert ledger.decision("checkout-0")["ticks"] == 40
    assert ledger.decision("checkout-40")["ticks"] == 2


def test_another_block_is_a_change_and_every_period_keeps_one(ledger: Ledger) -> None:
    ticks = int(ROLLUP_SECONDS / TICK)
    for tick in range(0, 2 * ticks, 10):
        blocks = [Block.GATE] if tick == 30 else []
        ledger.record_decision(_decision(tick, Verdict.STAY, "checkout", *blocks))
    assert {"0", "30", "40", str(ticks)} <= set(_ids(ledger))
    assert len(_ids(ledger)) <= 4 + 2


def test_what_a_plan_or_a_switchover_refers_to_is_kept(ledger: Ledger) -> None:
    lease = ledger.acquire("checkout", "h:b:1:1", 60, lambda holder: False)
    for tick in range(60):
        ledger.record_decision(_decision(tick))
        if tick == 5:
            ledger.put_plan(_plan("checkout-5"))
        if tick == 7:
            ledger.begin(
                lease,
                Switchover(
                    "s1", "checkout", "edge-a", "edge-b", _plan(None), 1, WallTime(START),
                    decision_id="checkout-7",
                ),
            )  # fmt: skip
    assert _ids(ledger)[:3] == ["0", "5", "7"]
    assert ledger.decision("checkout-5")["id"] == "checkout-5"


def test_decisions_are_asked_for_by_resource_time_and_number(ledger: Ledger) -> None:
    for tick in range(5):
        ledger.record_decision(_decision(tick))
        ledger.record_decision(_decision(tick, resource="search"))
    assert [each["id"] for each in ledger.decisions("search", limit=2)] == ["search-4", "search-3"]
    assert len(ledger.decisions(since=WallTime(START + 3 * TICK))) == 4


def test_a_plan_is_read_with_its_id_and_its_latest_expiry(ledger: Ledger) -> None:
    ledger.put_plan(_plan(None, START))
    ledger.put_plan(_plan(None, START + 50))
    plan = _plan(None)
    assert ledger.plan(plan.id) == dataclasses.replace(plan, expires_at=WallTime(START + 50))


def test_pruning_leaves_what_is_young_unfinished_or_the_newest(ledger: Ledger, clock: Any) -> None:
    clock.time = START  # nothing is old yet when it is written
    now = WallTime(START + 400 * DAY)
    lease = ledger.acquire("checkout", "h:b:1:1", 60, lambda holder: False)
    for name, age in (("old", 366), ("young", 364)):
        at = WallTime(now - age * DAY)
        done = Switchover(name, "checkout", "edge-a", "edge-b", _plan(None), 1, at)
        ledger.begin(lease, done)
        ledger.finish(lease, dataclasses.replace(done, outcome=Outcome.SWITCHED, ended_at=at))
    left = Switchover("left", "checkout", "edge-a", "edge-b", _plan(None), 1, WallTime(START))
    ledger.begin(lease, left)
    for tick in (0, 1):
        ledger.record_decision(_decision(tick, resource="quiet"))
    ledger.put_cached("stale", "x", WallTime(now - 3 * DAY))
    ledger.put_cached("fresh", "x", WallTime(now - DAY))
    ledger.put_plan(_plan(None, now - 8 * DAY))
    ledger.put_plan(_plan("d", now - DAY))
    ledger.change_control(lambda c: c.approve(_plan(None).id).approve(_plan("d").id))
    ledger.put_round_trips({("edge-a", "edge-b"): 1.0}, WallTime(now - 8 * DAY))

    gone = ledger.prune(now)

    assert gone == {
        "switchovers": 1, "outcomes": 0, "plans": 1, "decisions": 1, "cache": 1, "round_trips": 1,
    }  # fmt: skip
    assert {each.id for each in ledger.switchovers()} == {"young", "left"}
    assert _ids(ledger) == ["1"]
    assert ledger.cached("fresh") == "x"
    assert ledger.control().approved == {_plan("d").id}
    assert ledger.prune(now) == dict.fromkeys(gone, 0)


def test_recording_prunes_once_a_day(ledger: Ledger, clock: Any) -> None:
    def cached_after(tick: int) -> str | None:
        ledger.put_cached("k", "x", WallTime(clock.time - RETENTION["cache"] - 1))
        ledger.record_decision(_decision(tick))
        return ledger.cached("k")

    assert cached_after(0) is None
    assert cached_after(1) == "x"
    clock.time += PRUNE_EVERY - 1
    assert cached_after(2) == "x"
    clock.time += 1
    assert cached_after(3) is None


def test_a_retention_can_be_set_in_the_ledger(ledger: Ledger) -> None:
    assert ledger.retention() == RETENTION
    ledger.put_retention({"cache": 10.0})
    assert ledger.retention() == {**RETENTION, "cache": 10.0}
    ledger.put_cached("k", "x", WallTime(START))
    assert ledger.prune(WallTime(START + 11))["cache"] == 1


def test_decisions_of_many_are_kept_and_thinned_out_as_those_of_one(ledger: Ledger) -> None:
    names = [f"r{k:03}" for k in range(300)]
    moving = names[7]
    for tick in range(14):
        verdict = Verdict.BLOCKED if tick >= 5 else Verdict.STAY
        made = [
            _decision(tick, verdict if name == moving else Verdict.STAY, name) for name in names
        ]
        assert ledger.record_decisions(made) == {one.id for one in made}
        assert ledger.record_decisions(made[:3]) == frozenset()
    recent = round(RECENT_SECONDS / TICK)
    for name in (names[0], moving, names[-1]):
        rows = ledger.decisions(name)
        assert sum(row["ticks"] for row in rows) == 14
        kept = {0, 5} if name == moving else {0}
        assert {row["id"] for row in rows} == {
            f"{name}-{tick}" for tick in kept | set(range(13 - recent, 14))
        }
    assert ledger.record_decisions([]) == frozenset()
