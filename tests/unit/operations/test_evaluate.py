"""From a table of past values to a decision, on the real models."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime, isoformat
from foreshadow.domain.decision import Block, Decision, Trigger, Verdict
from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.domain.fleet import Role, parse_host
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.forecast.batch import Batch
from foreshadow.forecast.fleet import Fleet, FleetFit
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.evaluate import evaluate
from foreshadow.operations.expected import expected
from foreshadow.operations.trajectories import trajectories
from foreshadow.wire.access import Access
from tests.unit.forecast.days import START, STEP, rhythm
from tests.unit.operations.placed import placed
from tests.unit.switchover.names import named_world

DAYS = 30
ORIGIN = MetricTime(START + 28 * 86400.0)  # a Tuesday at midnight, before the rise
RATE = 360.0


class World:
    """A ledger, a table of hourly demand, and a clock that the test sets."""

    def __init__(self, folder: Path) -> None:
        self.wall = WallTime(1000.0)
        self.table = folder / "history.csv"
        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}", lambda: self.wall)
        for name, rate in (("edge-a", 100.0), ("edge-b", 200.0), ("edge-c", None)):
            capacity = {} if rate is None else {"rate": rate}
            self.ledger.put_host(
                parse_host({"name": name, "address": "127.0.0.1", "capacity": capacity})
            )
        access = Access(self.ledger.host, None, 1.0, self.ledger.hosts)
        self.context = Context(self.ledger, access, lambda: self.wall)
        values = rhythm(DAYS)
        with self.table.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["ts", "resource", "rate", "percent", "short", "flat"])
            for k, value in enumerate(values):
                at = START + k * STEP
                short = 95.0 if at > ORIGIN - 86400 else ""
                out.writerow([isoformat(at), "shop", 170 * value, 100 * value, short, 5.0])

    def at(self, hours: float) -> None:
        """Set the clock to some hours after midnight, in metric time."""
        self.wall = WallTime(1000.0 + hours * 3600.0 / RATE)

    def put(self, name: str = "shop", primary: str = "edge-a", **keys: Any) -> ResourceSpec:
        metrics = {
            "sources": [{"kind": "table", "path": str(self.table)}],
            "step": "1h",
            "history": "29d",
            "clock": {"origin": float(ORIGIN), "started": 1000.0, "rate": RATE},
            "demand": {"rate": {"query": "rate", "unit": "per_second"}},
            **keys.pop("metrics", {}),
        }
        triggers = {"horizon": "3h", "latency_increase": None, **keys.pop("triggers", {})}
        policy = {"mode": "automatic", "drill_max_age": None, **keys.pop("policy", {})}
        spec = parse_resource(
            {
                "name": name,
                "primary": primary,
                "service": {"command": ["serve"], "port": 80},
                "metrics": metrics,
                "triggers": triggers,
                "policy": policy,
            }
        )
        self.ledger.put_resource(spec)
        return spec

    def stand(self, host: str, role: Role) -> None:
        self.ledger.put_instance(placed(host, role))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    with made.ledger:
        yield made


@pytest.fixture
def world(grown: World) -> World:
    """One world for all tests, so that the fits are made once; each test sets its resource."""
    for host in ("edge-b", "edge-c"):
        grown.ledger.remove_instance("shop", host)
    grown.put()
    grown.stand("edge-a", Role.PRIMARY)
    grown.stand("edge-b", Role.SHADOW)
    grown.at(6.0)
    return grown


def decision(world: World, **keys: Any) -> Decision:
    (made,) = evaluate(world.context, ["shop"], **keys)
    return made


def test_a_rise_that_will_pass_the_threshold_switches_before_it_does(world: World) -> None:
    made = decision(world)
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.FORECAST), made.reasons
    assert made.destination is not None
    assert made.destination.host == "edge-b"
    assert made.lead_seconds is not None
    truth = 1.7 * rhythm(DAYS)
    breach = next(k for k in range(28 * 24, 29 * 24) if truth[k] > 0.8)
    assert made.breach_at is not None
    assert abs(made.breach_at - (START + (breach - 0.5) * STEP)) < 2 * STEP
    assert made.signals["utilization"].now == pytest.approx(truth[28 * 24 + 6])
    assert made.model is not None
    assert made.model.name == "fleet"


def test_it_is_recorded_once_in_a_tick_with_what_it_saw(world: World) -> None:
    world.at(6.01)
    first, again = decision(world), decision(world)
    assert first.id == again.id
    rows = [row for row in world.ledger.decisions("shop") if row["id"] == first.id]
    assert len(rows) == 1
    (seen,) = trajectories(world.context, "shop", first.id)
    assert (seen.metric, seen.unit, seen.threshold) == ("utilization", "ratio", 0.8)
    assert len(seen.seen) == 72
    assert len(seen.expected) == len(seen.lower) == len(seen.upper) == 4


def test_what_an_earlier_version_kept_of_a_decision_is_not_shown(world: World) -> None:
    world.ledger.put_cached(
        "forecast:d1", '{"utilization": {"unit": "ratio"}}', world.context.now()
    )
    assert trajectories(world.context, "shop", "d1") == ()


def test_a_decision_is_plain_json(world: World) -> None:
    plain = decision(world).plain()
    assert json.loads(json.dumps(plain)) == plain

    def types(value: object) -> set[type]:
        if isinstance(value, dict):
            return {t for v in value.values() for t in types(v)}
        if isinstance(value, list):
            return {t for v in value for t in types(v)}
        return {type(value)}

    assert types(plain) <= {str, float, int, bool, type(None)}


def test_check_mode_writes_nothing(world: World) -> None:
    world.at(7.0)
    before = world.ledger.decisions("shop")
    made = decision(world, record=False)
    assert world.ledger.decisions("shop") == before
    assert trajectories(world.context, "shop", made.id) == ()


@pytest.mark.parametrize(
    ("policy", "block"),
    [({"mode": "forecast_only"}, Block.MODE), ({"drill_max_age": "30d"}, Block.DRILL)],
)
def test_a_guard_blocks_and_the_forecast_is_told(
    world: World, policy: dict[str, Any], block: Block
) -> None:
    world.put(policy=policy)
    made = decision(world)
    assert (made.verdict, made.blocked_by) == (Verdict.BLOCKED, (block,))
    assert "is forecast to pass 0.80" in made.reasons[0]


def test_a_person_may_pause_it(world: World) -> None:
    world.ledger.change_control(lambda control: control.pause("shop"))
    try:
        assert decision(world).blocked_by == (Block.PAUSED,)
    finally:
        world.ledger.change_control(lambda control: control.resume("shop"))


def test_only_a_host_with_a_shadow_is_a_destination(world: World) -> None:
    world.ledger.remove_instance("shop", "edge-b")
    assert decision(world).blocked_by == (Block.NO_SHADOW,)


def test_a_pause_is_told_also_where_nothing_asks_for_a_move(world: World) -> None:
    world.at(0.5)
    world.ledger.change_control(lambda control: control.pause(None))
    try:
        made = decision(world)
    finally:
        world.ledger.change_control(lambda control: control.resume(None))
    assert (made.verdict, made.blocked_by) == (Verdict.STAY, ())
    assert made.reasons[1] == "a person has paused all switching; resume it with control"


def test_what_is_expected_is_kept_for_whoever_moves_something(world: World) -> None:
    spec = world.put()
    made = decision(world)
    kept = expected(world.context, [spec])["shop"]["rate"]
    assert kept == pytest.approx(100 * (made.signals["utilization"].predicted or 0.0), rel=0.06)


def test_in_the_quiet_hours_it_stays(world: World) -> None:
    world.at(0.5)
    made = decision(world)
    assert (made.verdict, made.trigger, made.blocked_by) == (Verdict.STAY, Trigger.NONE, ())


def test_history_follows_the_service_to_a_host_of_another_size(tmp_path: Path) -> None:
    made = []
    for host in ("edge-a", "edge-b"):
        (tmp_path / host).mkdir()
        elsewhere = World(tmp_path / host)
        with elsewhere.ledger:
            elsewhere.put(primary=host)
            elsewhere.at(6.0)
            made.append(decision(elsewhere))
    small, large = (one.signals["utilization"] for one in made)
    assert made[1].verdict is Verdict.STAY
    assert small.now is not None
    assert large.now == pytest.approx(small.now / 2)
    assert large.predicted == pytest.approx((small.predicted or 0.0) / 2)


def test_prophet_itself_can_be_asked(world: World) -> None:
    made = decision(world, model="prophet")
    assert made.model is not None
    assert made.model.name == "prophet+ar"
    assert made.signals["utilization"].predicted is not None


def test_many_resources_are_forecast_in_one_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    original = FleetFit.begin

    def begin(model: Fleet, batch: Batch, horizons: tuple[int, ...]) -> FleetFit:
        sizes.append(len(batch))
        return original(model, batch, horizons)

    monkeypatch.setattr(FleetFit, "begin", begin)
    elsewhere = World(tmp_path)
    names = [f"shop-{k}" for k in range(12)]
    head, *lines = elsewhere.table.read_text().splitlines()
    copies = [line.replace(",shop,", f",{name},") for name in names for line in lines]
    elsewhere.table.write_text("\n".join([head, *copies]))
    with elsewhere.ledger:
        for name in names:
            elsewhere.put(name)
        elsewhere.at(6.0)
        first = evaluate(elsewhere.context, names)
        elsewhere.at(7.0)
        second = evaluate(elsewhere.context, names)
    assert [one.resource for one in first] == names
    assert {one.model.name for one in (*first, *second) if one.model} == {"fleet"}
    assert sizes == [12]


def test_triggers_and_horizon_can_be_given(world: World) -> None:
    assert decision(world, triggers={"utilization": 1.0}).verdict is Verdict.STAY
    assert decision(world, horizon="10m").verdict is Verdict.STAY


def test_a_declared_percentage_is_not_taken_for_a_ratio(world: World) -> None:
    world.put(metrics={"utilization": {"query": "percent", "unit": "percent"}})
    now = decision(world).signals["utilization"].now
    assert now == pytest.approx(rhythm(DAYS)[28 * 24 + 6])


def test_an_observed_breach_acts_without_any_forecast(world: World) -> None:
    world.put(metrics={"demand": {"rate": {"query": "short", "unit": "per_second"}}})
    made = decision(world)
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.OBSERVED), made.reasons
    assert made.lead_seconds == 0.0
    assert not made.gate.open


@pytest.mark.parametrize(
    ("metrics", "block", "said"),
    [
        ({"sources": [{"kind": "table", "path": "/gone.csv"}]}, Block.METRICS, "no such file"),
        (
            {"demand": {"rate": {"query": "gone", "unit": "per_second"}}},
            Block.METRICS,
            "there is no column gone",
        ),
        ({"demand": {"cpu": {"query": "rate", "unit": "cores"}}}, Block.METRICS, "no capacity"),
        (
            {"demand": {"rate": {"query": "flat", "unit": "per_second"}}},
            Block.HISTORY,
            "the history is flat",
        ),
        ({"history": "30h"}, Block.HISTORY, "the history is too short"),
        ({"sources": []}, Block.METRICS, "no source has a sample"),
        ({"demand": {}}, None, "no metric is declared"),
    ],
)
def test_what_cannot_be_forecast_is_a_reason_in_words(
    world: World, metrics: dict[str, Any], block: Block | None, said: str
) -> None:
    world.put(metrics=metrics)
    made = decision(world)
    assert made.verdict is Verdict.STAY
    assert (block in made.blocked_by) if block else made.blocked_by == ()
    assert said in " ".join(made.reasons)


def test_metrics_that_stopped_are_told(world: World) -> None:
    world.at(2.5 * 24 + 12)
    made = decision(world)
    assert made.verdict is Verdict.STAY
    assert Block.HISTORY in made.blocked_by
    assert "the history ends at" in " ".join(made.reasons)


def test_the_past_can_be_asked_about_and_leaves_no_trace(world: World) -> None:
    before = world.ledger.decisions("shop")
    made = decision(world, at=isoformat(ORIGIN + 6 * 3600))
    assert made.at == ORIGIN + 6 * 3600
    assert made.trigger is Trigger.FORECAST
    assert world.ledger.decisions("shop") == before


def test_names_and_options_are_refused_in_one_line(world: World) -> None:
    assert evaluate(world.context, []) == []
    assert [made.resource for made in evaluate(world.context)] == ["shop"]
    with pytest.raises(UnknownNameError, match="shopp"):
        evaluate(world.context, ["shopp"])
    for options in ({"model": "crystal"}, {"at": "noon"}, {"horizon": "soon"},
                    {"triggers": {"utilisation": 0.5}}):  # fmt: skip
        with pytest.raises(SpecError) as caught:
            decision(world, **options)
        assert "\n" not in str(caught.value)


def test_a_sample_of_this_hour_counts_for_now_and_not_for_the_model(world: World) -> None:
    world.at(6.0)
    plain = decision(world).signals["utilization"]
    rows = world.table.read_text()
    at = isoformat(ORIGIN + 6.2 * 3600)
    try:
        world.table.write_text(rows + f"{at},shop,{math.pi},,,\n")
        world.at(6.3)
        later = decision(world).signals["utilization"]
    finally:
        world.table.write_text(rows)
    assert later.now == pytest.approx(math.pi / 100)
    assert later.breach_at == plain.breach_at


def test_a_forecast_lowers_ttls_first_and_moves_once_the_old_one_has_run_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = named_world()
    names.name.ttl = 20.0  # wall time; two metric hours pass in it
    monkeypatch.setattr(Context, "directors", lambda *_: names.directors()[:1])
    world.at(5.0)
    seen = decision(world, record=False)
    assert names.name.ttl == 20.0
    assert (seen.verdict, seen.trigger) == (Verdict.SWITCH, Trigger.FORECAST)
    first = decision(world)
    assert names.name.ttl == 5.0
    assert first.blocked_by == (Block.IN_PROGRESS,)
    assert any("movable then" in reason for reason in first.reasons)
    world.wall = WallTime(world.wall + 22.0)
    later = decision(world)
    assert later.verdict is Verdict.SWITCH, later.reasons
    world.at(22.0)
    assert decision(world).trigger is Trigger.NONE
    assert names.name.ttl == 20.0


def test_an_observed_breach_waits_for_no_ttl(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = named_world()
    names.name.ttl = 20.0
    monkeypatch.setattr(Context, "directors", lambda *_: names.directors()[:1])
    world.at(10.0)
    made = decision(world)
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.OBSERVED), made.reasons
    assert names.name.ttl == 20.0


def test_a_small_budget_of_false_alarms_lets_a_forecast_wait(world: World) -> None:
    """Near the highest that ever came, a careful quantile has often passed the limit in vain."""
    limits = {"utilization": 0.93, "quantile": 0.95}
    eager = decision(world, triggers=limits | {"false_alarms_per_week": 100.0}, record=False)
    assert (eager.verdict, eager.trigger) == (Verdict.SWITCH, Trigger.FORECAST)
    waits = decision(world, triggers=limits | {"false_alarms_per_week": 0.1}, record=False)
    assert waits.verdict is Verdict.STAY
    assert "less than what keeps false alarms within their budget" in waits.reasons[0]
