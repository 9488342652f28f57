"""The trigger model learns from the fleet's own breaches, and then has a say in decisions."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from foreshadow.decide import reading
from foreshadow.domain.clock import MetricClock, MetricTime, WallTime
from foreshadow.domain.decision import Decision, Trigger
from foreshadow.domain.fleet import parse_host
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import SourceSpec, parse_resource
from foreshadow.forecast.trigger.events import onsets
from foreshadow.ledger import Ledger
from foreshadow.operations import trigger_model
from foreshadow.operations.context import Context
from foreshadow.operations.evaluate import evaluate
from foreshadow.operations.trigger_model import key
from tests.unit.forecast.test_trigger import DAY, STEP, breaching
from tests.unit.operations.metered import NoAgents

START = 1_500_336_000.0
NAMES = [f"shop-{k}" for k in range(12)]
LIMIT = 0.7
DAYS = 20


class Fleet(Context):
    """Resources that breach at about the same time of most days, each at its own."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.time = START + DAYS * 86400.0
        agents: Any = NoAgents()
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", lambda: WallTime(self.time))
        super().__init__(ledger, agents, lambda: WallTime(self.time))
        ledger.put_host(parse_host({"name": "edge-a", "address": "127.0.0.1"}))
        self.values = {name: breaching(DAYS + 2, k, 5.0 + k % 12) for k, name in enumerate(names)}
        for name in names:
            ledger.put_resource(
                parse_resource(
                    {
                        "name": name,
                        "primary": "edge-a",
                        "service": {"command": ["serve"], "port": 80},
                        "metrics": {
                            "sources": [{"kind": "told"}],
                            "step": STEP,
                            "utilization": {"query": "q", "unit": "ratio"},
                        },
                        "triggers": {"horizon": "1h", "utilization": LIMIT},
                    }
                )
            )

    def source(self, source: SourceSpec, clock: MetricClock) -> Any:
        return self

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        grid = window.grid()
        cells = [round((at - START) // STEP) for at in grid]
        return {
            name: Series(grid[0], window.step, tuple(float(self.values[name][c]) for c in cells))
            for name in resources
        }

    def decided(self, name: str, at: float) -> Decision:
        (made,) = evaluate(self, [name], at=MetricTime(at), record=False)
        return made


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigger_model, "LEAST_LESSONS", 10)
        patch.setattr(trigger_model, "LEAST_ONSETS", 60)
        made = Fleet(tmp_path_factory.mktemp("fleet"), NAMES)
        with made.ledger:
            yield made


@pytest.fixture(scope="module")
def learned(fleet: Fleet) -> Fleet:
    assert fleet.ledger.cached(key()) is None
    evaluate(fleet)
    return fleet


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[reading.Reading]:
    """What is read in a test."""
    seen: list[reading.Reading] = []
    original = reading.read

    def kept(*args: Any, **keys: Any) -> reading.Reading:
        seen.append(original(*args, **keys))
        return seen[-1]

    monkeypatch.setattr("foreshadow.operations.evaluate.read", kept)
    return seen


def test_check_mode_learns_nothing(fleet: Fleet, tmp_path: Path) -> None:
    fresh = Fleet(tmp_path, NAMES[:2])
    with fresh.ledger:
        evaluate(fresh, record=False)
        assert fresh.ledger.cached(key()) is None


def test_too_few_breaches_teach_nothing_and_are_not_gone_through_again_that_day(
    fleet: Fleet, tmp_path: Path
) -> None:
    few = Fleet(tmp_path, NAMES[:1])
    with few.ledger:
        evaluate(few)
        kept = json.loads(few.ledger.cached(key()) or "{}")
        assert (kept["at"], kept["model"]) == (few.time, None)
        few.time += 3600.0
        evaluate(few)
        assert json.loads(few.ledger.cached(key()) or "{}")["at"] == kept["at"]


def test_a_question_about_some_or_with_other_limits_neither_teaches_nor_forgets(
    learned: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = learned.ledger.cached(key())
    monkeypatch.setattr(learned, "time", learned.time + 86400.0)
    evaluate(learned, NAMES[:2])
    evaluate(learned, triggers={"utilization": 0.9})
    assert learned.ledger.cached(key()) == before
    assert json.loads(before or "{}")["model"] is not None


def test_a_fleet_that_teaches_nothing_new_keeps_what_it_had(
    learned: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = learned.ledger.cached(key()) or "{}"
    monkeypatch.setattr(learned, "time", learned.time + 86400.0)
    monkeypatch.setattr(trigger_model, "LEAST_ONSETS", 10**6)
    evaluate(learned, NAMES)
    after = json.loads(learned.ledger.cached(key()) or "{}")
    assert after == {**json.loads(before), "at": learned.time}
    learned.ledger.put_cached(key(), before, WallTime(learned.time))


def test_what_it_learned_later_has_no_say_in_a_question_about_the_past(
    learned: Fleet, readings: list[reading.Reading]
) -> None:
    for hours in (-1, 0, 1):
        learned.decided(NAMES[0], learned.time + hours * 3600.0)
    assert [each.alarm is not None for each in readings] == [False, True, True]


@pytest.mark.parametrize("damage", ["{", "[]", '{"at": 1}', '{"at": 1, "until": 1, "model": "{}"}'])
def test_a_kept_text_that_cannot_be_read_is_as_none(
    fleet: Fleet, tmp_path: Path, damage: str
) -> None:
    few = Fleet(tmp_path, NAMES[:1])
    with few.ledger:
        few.ledger.put_cached(key(), damage, WallTime(few.time))
        evaluate(few)
        assert json.loads(few.ledger.cached(key()) or "{}")["at"] == few.time


def test_what_it_learned_tells_the_hour_before_a_breach_from_a_quiet_one(learned: Fleet) -> None:
    before: list[float] = []
    quiet: list[float] = []
    said: list[str] = []
    for name in NAMES[:7]:
        values = learned.values[name]
        coming = [c for c in onsets(values, LIMIT, STEP) if DAYS * DAY < c < (DAYS + 1) * DAY]
        for cell in coming[:1]:
            for cells, chances in ((4, before), (70, quiet)):
                made = learned.decided(name, START + (cell - cells) * STEP)
                assert made.probability is not None
                chances.append(made.probability)
                said += made.reasons if cells == 4 else ()
    assert len(before) >= 5
    assert sum(before) / len(before) > 4 * sum(quiet) / len(quiet)
    assert any("breaches of the past taught" in line for line in said)


def test_a_standing_alarm_is_a_forecast_trigger_as_far_as_the_gate_lets_it(
    learned: Fleet, readings: list[reading.Reading]
) -> None:
    stood = 0
    for name in NAMES[:6]:
        for cell in onsets(learned.values[name], LIMIT, STEP)[-1:]:
            made = learned.decided(name, START + (cell - 3) * STEP)
            alarm = readings[-1].alarm
            assert alarm is not None
            assert made.probability == alarm.probability
            if alarm.stands:
                stood += 1
                assert made.trigger is Trigger.FORECAST
                assert made.breach_at is not None
                assert made.verdict.value == "blocked"  # by the gate, or by forecast_only
    assert stood >= 3
