"""Whatever a metric is like: a decision, a reason in words, and no switch without evidence."""

import json
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from foreshadow.domain.clock import MetricClock, WallTime, isoformat, parse_instant
from foreshadow.domain.decision import Block, Decision, Trigger, Verdict
from foreshadow.domain.fleet import Role, parse_host
from foreshadow.domain.series import Series, Window
from foreshadow.domain.spec import SourceSpec, parse_resource
from foreshadow.forecast import fleet, forecaster
from foreshadow.ledger import Ledger
from foreshadow.metrics.grid import resample
from foreshadow.metrics.table import TableSource
from foreshadow.operations.context import Context
from foreshadow.operations.evaluate import FLEET, MODELS, PROPHET, evaluate
from tests.unit.forecast.days import START, STEP, rhythm
from tests.unit.forecast.test_backtest import flat_structure
from tests.unit.operations.metered import NoAgents
from tests.unit.operations.placed import placed

LIMIT = 0.8
Samples = Sequence[tuple[float, float]]


class Sampled(Context):
    """A context whose one source tells given samples, with the grid that every source uses."""

    def __init__(self, folder: Path) -> None:
        self.time = START
        self.samples: Samples = ()
        agents: Any = NoAgents()
        ledger = Ledger.open(f"sqlite:///{folder}/ledger.db", lambda: WallTime(self.time))
        super().__init__(ledger, agents, lambda: WallTime(self.time))
        for name in ("edge-a", "edge-b"):
            ledger.put_host(parse_host({"name": name, "address": "127.0.0.1"}))

    def source(self, source: SourceSpec, clock: MetricClock) -> Any:
        return self

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        found = resample(self.samples, window)
        return {} if found is None else dict.fromkeys(resources, found)

    def decided(self, samples: Samples, unit: str = "ratio", **keys: Any) -> Decision:
        """Return what is decided at the time of the last sample that has one, or a day later."""
        self.put(unit, **keys)
        self.samples = samples
        times = [at for at, _ in samples]
        self.time = keys.get("now", max(times, default=START + 86400.0))
        (made,) = evaluate(self, ["shop"], record=False, model=keys.get("model"))
        return made

    def put(self, unit: str, **keys: Any) -> None:
        spec = {
            "name": "shop",
            "primary": "edge-a",
            "service": {"command": ["serve"], "port": 80},
            "metrics": {
                "sources": [{"kind": "sampled"}],
                "step": STEP,
                keys.get("metric", "utilization"): {"query": "q", "unit": unit},
            },
            "triggers": {"horizon": "3h", "utilization": LIMIT, "latency": "250ms"},
            "policy": {"mode": "automatic", "drill_max_age": None},
        }
        self.ledger.put_resource(parse_resource(spec))
        for host, role in (("edge-a", Role.PRIMARY), ("edge-b", Role.SHADOW)):
            self.ledger.put_instance(placed(host, role))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sampled]:
    """One resource for all tests; Prophet's structure is flat, so that a hundred fits are quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecaster, "forecast", partial(forecaster.forecast, fit=flat_structure))
        made = Sampled(tmp_path_factory.mktemp("bad"))
        with made.ledger:
            yield made


def hourly(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(START + k * STEP, float(value)) for k, value in enumerate(values)]


GOOD = [0.5 * float(v) for v in rhythm(12)]


def without(values: Sequence[float], first: int, last: int) -> Samples:
    return [pair for k, pair in enumerate(hourly(values)) if not first <= k < last]


BAD: dict[str, tuple[Samples, str]] = {
    "nothing at all": ((), "no source has a sample"),
    "one sample": (hourly(GOOD[:1]), "too short"),
    "two days": (hourly(GOOD[:48]), "too short: 2d of 48 points"),
    "nan alone": (hourly([math.nan] * 200), "no source has a sample"),
    "infinity alone": (hourly([math.inf] * 200), "no source has a sample"),
    "all zero": (hourly([0.0] * 200), "flat at 0"),
    "constant": (hourly([0.4] * 200), "flat at 0.4"),
    "half of it gaps": (hourly(GOOD)[::2], "are gaps"),
    "a gap of four days": (without(GOOD, 60, 200), "are gaps"),
    "a gap of some hours": (without(GOOD, 100, 110), "the last"),
    "duplicates": (sorted(hourly(GOOD) * 3), "the last"),
    "out of order": (hourly(GOOD)[::-1], "the last"),
    "negative": (hourly([-v for v in GOOD]), "the last"),
    "percent that is called a ratio": (hourly([100 * v for v in GOOD]), "declare unit: percent"),
    "a counter that is called a ratio": (hourly([60.0 * k for k in range(200)]), "not used"),
    "a counter that was reset": (hourly([60.0 * (k % 90) for k in range(200)]), "not used"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_series_is_told_in_words_and_moves_nothing(shop: Sampled, name: str) -> None:
    samples, said = BAD[name]
    made = shop.decided(samples)
    words = " ".join((*made.reasons, made.gate.reason))
    assert (made.verdict, made.trigger) == (Verdict.STAY, Trigger.NONE), words
    assert said in words


def test_late_samples_make_the_newest_value_unknown_and_then_the_history_too_old(
    shop: Sampled,
) -> None:
    end = START + (len(GOOD) - 1) * STEP
    late = shop.decided(hourly(GOOD), now=end + 2.5 * STEP)
    assert "there is no fresh value of utilization" in " ".join(late.reasons)
    gone = shop.decided(hourly(GOOD), now=end + 9 * STEP)
    assert "the history ends at" in " ".join(gone.reasons)
    assert (gone.verdict, gone.blocked_by) == (Verdict.STAY, (Block.HISTORY,))


@pytest.mark.parametrize("unit", ["ratio", "percent"])
def test_the_declared_unit_makes_equal_decisions_of_equal_loads(shop: Sampled, unit: str) -> None:
    factor = 100.0 if unit == "percent" else 1.0
    made = shop.decided(hourly([factor * v for v in GOOD]), unit)
    assert made.signals["utilization"].now == pytest.approx(GOOD[-1])


def test_a_ratio_that_is_called_percent_is_told_and_milliseconds_that_are_called_seconds(
    shop: Sampled,
) -> None:
    small = shop.decided(hourly(GOOD), "percent")
    assert "declare unit: ratio" in " ".join(small.reasons)
    slow = shop.decided(hourly([400 * v for v in GOOD]), "seconds", metric="latency")
    assert "declare unit: milliseconds" in " ".join(slow.reasons)
    assert slow.verdict is Verdict.STAY


@pytest.mark.parametrize("kind", ["mirrored", "noise"])
def test_when_history_lies_the_gate_is_shut_and_an_observed_breach_still_acts(
    shop: Sampled, kind: str
) -> None:
    usual = [0.7 * float(v) for v in rhythm(12)]
    if kind == "mirrored":
        other = [max(0.6 - v, 0.0) for v in usual[-24:-1]]
    else:
        other = [0.1 + 0.5 * ((k * 7919) % 13) / 13 for k in range(23)]
    made = shop.decided(hourly([*usual[:-24], *other, 0.95]))
    assert not made.gate.open, made.gate
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.OBSERVED)
    assert made.reasons[0] == "utilization is 0.95 on edge-a, above its limit of 0.80"


def test_a_fit_that_fails_is_told_and_an_observed_breach_still_acts(
    shop: Sampled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def views(*args: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(fleet.Fleet, "views", views)
    made = shop.decided(hourly(GOOD))
    assert (made.verdict, made.blocked_by) == (Verdict.STAY, (Block.METRICS,))
    assert "the model cannot be fitted: Singular matrix" in " ".join(made.reasons)
    breached = shop.decided(hourly([*GOOD, 0.95]))
    assert (breached.verdict, breached.trigger) == (Verdict.SWITCH, Trigger.OBSERVED)


@pytest.mark.parametrize("history", [[], [0.5], [2.5] * 3])
def test_an_overload_is_no_wrong_unit_however_short_the_history(
    shop: Sampled, history: list[float]
) -> None:
    made = shop.decided(hourly([*history, 2.5]))
    assert (made.verdict, made.trigger) == (Verdict.SWITCH, Trigger.OBSERVED)


@pytest.mark.parametrize("count", [1, 5, 47])
def test_a_percentage_that_is_called_a_ratio_moves_nothing_however_short_the_history(
    shop: Sampled, count: int
) -> None:
    made = shop.decided(hourly([35.0 + k % 3 for k in range(count)]))
    assert (made.verdict, made.trigger) == (Verdict.STAY, Trigger.NONE)
    assert "declare unit: percent" in " ".join(made.reasons)


def test_daylight_saving_neither_loses_nor_doubles_an_hour(tmp_path: Path) -> None:
    """A table in local time with offsets, over the night in which an hour is there twice."""
    zone = ZoneInfo("Europe/Berlin")
    first = parse_instant("2017-10-28T12:00:00Z")
    rows = []
    for k in range(36):
        local = isoformat_in(first + k * 3600.0, zone)
        rows.append(f"{local},shop,{k}")
    path = tmp_path / "local.csv"
    path.write_text("\n".join(["ts,resource,q", *rows]) + "\n")
    assert sum("2017-10-29T02:00:00" in row for row in rows) == 2
    source = TableSource({"path": str(path)}, MetricClock(), None)
    window = Window(first - 3600.0, first + 35 * 3600.0, 3600.0)  # type: ignore[arg-type]
    found = source.fetch("q", ["shop"], window)["shop"]
    assert found.values == tuple(float(k) for k in range(36))
    assert isoformat(found.start) == "2017-10-28T12:00:00Z"


def isoformat_in(at: float, zone: ZoneInfo) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).astimezone(zone).isoformat()


ODD = st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 1e-300, 57.0, 0.79, 0.81])


@st.composite
def odd_series(draw: st.DrawFn) -> Samples:
    """A rhythm, a level or noise, of any length, spoilt in any of the ways that metrics have."""
    count = draw(st.integers(0, 24 * 12))
    kind = draw(st.sampled_from(["rhythm", "level", "noise", "ramp"]))
    scale = draw(st.sampled_from([0.0, 0.5, 1.0, 1.9, 100.0]))
    noise = draw(st.randoms(use_true_random=False))
    shapes = {
        "rhythm": GOOD,
        "level": [0.5] * 288,
        "noise": [noise.random() for _ in range(288)],
        "ramp": [k / 288 for k in range(288)],
    }
    values = [scale * value for value in shapes[kind][:count]]
    for at, value in draw(st.lists(st.tuples(st.integers(0, 287), ODD | st.floats()), max_size=6)):
        if at < count:
            values[at] = value
    samples = hourly(values)
    first, length = draw(st.integers(0, 288)), draw(st.integers(0, 150))
    samples = samples[:first] + samples[first + length :]
    extra = st.tuples(st.floats(START - 9e4, START + 1.1e6), ODD)
    samples += draw(st.lists(extra, max_size=4))
    return draw(st.permutations(samples[-5:])) + samples[:-5]


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(
    samples=odd_series(),
    late=st.sampled_from([0.0, 60.0, 900.0, 3600.0, 5 * 3600.0]),
    model=st.sampled_from(MODELS),
)
@example(samples=hourly([0.5] * 287 + [0.95]), late=0.0, model=FLEET)
@example(samples=hourly([0.5] * 287 + [0.95]), late=0.0, model=PROPHET)
@example(samples=hourly([*GOOD[:-1], 1e308]), late=0.0, model=FLEET)
@example(samples=hourly([*GOOD[:-1], 1e308]), late=0.0, model=PROPHET)
def test_no_series_makes_it_fail_and_none_moves_without_evidence(
    shop: Sampled, samples: Samples, late: float, model: str
) -> None:
    now = max((at for at, _ in samples), default=START) + late
    made = shop.decided(samples, now=now, model=model)
    if made.model is not None:
        assert made.model.name == {FLEET: "fleet", PROPHET: "prophet+ar"}[model]
    plain = made.plain()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert all(plain["reasons"])
    signal = made.signals["utilization"]
    if made.trigger is Trigger.OBSERVED:
        fresh = [v for at, v in samples if now - 3 * STEP <= at <= now and math.isfinite(v)]
        assert max(fresh) > LIMIT
        assert signal.now is not None
        assert signal.now > LIMIT
    elif made.verdict is Verdict.SWITCH:
        assert made.trigger is Trigger.FORECAST
        assert made.gates["utilization"].open
        assert signal.breach_at is not None
        assert now <= signal.breach_at <= now + 3 * 3600.0
        assert signal.predicted is not None
        assert signal.predicted > LIMIT
