"""Units, clocks, series, manifests, plans and errors: the small values that all else is made of."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import pickle
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.domain import drivers
from foreshadow.domain.change import Change
from foreshadow.domain.clock import MetricClock, MetricTime, WallTime, isoformat, parse_instant
from foreshadow.domain.control import EVERY, Control
from foreshadow.domain.drivers import load_driver
from foreshadow.domain.errors import BY_CODE, FencedError, ForeshadowError, SpecError
from foreshadow.domain.manifest import Entry, EntryKind, Manifest
from foreshadow.domain.moves import Plan, Seen
from foreshadow.domain.near import unknown
from foreshadow.domain.series import Series, Window, overlay
from foreshadow.domain.units import format_duration, parse_bandwidth, parse_duration, parse_size

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1h30m", 5400), ("1h 30m", 5400), ("2d", 172800), ("7", 7)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("bad", ["", "soon", "-5s", "5x", "1h-3m", True, None, [], -1, NAN, "1e3"])
def test_what_is_not_a_duration_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r".+: .+"):
        parse_duration(bad)


@given(st.integers(0, 10**7))
def test_a_whole_duration_survives_its_text(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_sizes_and_bandwidths_are_read() -> None:
    assert parse_size("512MiB") == 512 * 2**20
    assert parse_size("2GB") == 2 * 10**9
    assert parse_size("77") == parse_size(77) == 77
    assert parse_bandwidth("50Mbit") == 6_250_000
    assert parse_bandwidth("6250000") == parse_bandwidth(6_250_000) == 6_250_000
    for bad in ("5 lightyears", -1, "fast", None, True):
        with pytest.raises(ValueError, match="cannot be read"):
            parse_size(bad)


def test_instants_are_read_and_written_in_utc() -> None:
    moment = 1795507200.25
    assert isoformat(moment) == "2026-11-24T08:00:00.250Z"
    assert isoformat(1795507200) == "2026-11-24T08:00:00Z"
    assert parse_instant("2026-11-24T08:00:00.250Z") == moment
    assert parse_instant("2026-11-24T09:00:00.250+01:00") == moment
    assert parse_instant("2026-11-24T08:00:00.250") == moment
    assert parse_instant(datetime.datetime(2026, 11, 24, 8)) == 1795507200  # noqa: DTZ001
    assert parse_instant(datetime.date(2026, 11, 24)) == parse_instant("2026-11-24")
    bad: Any
    for bad in ("yesterday", True, None, []):
        with pytest.raises(ValueError, match="is not a time: write"):
            parse_instant(bad)


@given(st.floats(0, 2e9), st.floats(0, 2e9), st.floats(0.01, 1e4), st.floats(0, 2e9))
def test_a_metric_clock_and_its_inverse_agree(
    origin: float, started: float, rate: float, wall: float
) -> None:
    clock = MetricClock(MetricTime(origin), WallTime(started), rate)
    there = clock.metric(WallTime(wall))
    assert clock.wall(there) == pytest.approx(wall, abs=0.1)


def test_a_replay_runs_faster_than_the_wall() -> None:
    clock = MetricClock(MetricTime(1000.0), WallTime(50.0), 60.0)
    assert clock.metric(WallTime(51.0)) == 1060.0
    assert MetricClock().metric(WallTime(51.0)) == 51.0


@given(st.integers(0, 10**6), st.integers(0, 1000), st.integers(1, 300))
def test_a_window_holds_the_grid_points_after_its_start(start: int, span: int, step: int) -> None:
    grid = Window(MetricTime(start), MetricTime(start + span), float(step)).grid()
    assert all(start < t <= start + span and t % step == 0 for t in grid)
    assert len(grid) == (start + span) // step - start // step


def test_the_last_value_is_not_a_gap() -> None:
    series = Series(MetricTime(0), 10, (1.0, NAN, 3.0, NAN))
    assert series.last() == (MetricTime(20), 3.0)
    assert series.present() == 2
    assert len(series) == 4
    assert Series(MetricTime(0), 10, (NAN,)).last() is None


def test_of_two_series_the_upper_one_wins_where_it_speaks() -> None:
    below = Series(MetricTime(10), 10, (1.0, 2.0, 3.0))
    above = Series(MetricTime(20), 10, (20.0, NAN, NAN, 50.0))
    joined = overlay(below, above)
    assert joined.start == MetricTime(10)
    assert joined.values[:3] == (1.0, 20.0, 3.0)
    assert math.isnan(joined.values[3])
    assert joined.values[4] == 50.0
    with pytest.raises(ValueError, match="cannot join a series of step 10 with one of 5"):
        overlay(below, Series(MetricTime(0), 5, ()))


def test_the_root_of_a_manifest_speaks_for_every_field_of_every_entry() -> None:
    entry = Entry("a/b", EntryKind.FILE, 0o644, 3, "d1", 7)
    others = [
        dataclasses.replace(entry, **change)
        for change in (
            {"path": "a/c"}, {"kind": EntryKind.DIRECTORY}, {"mode": 0o600}, {"size": 4},
            {"digest": "d2"}, {"mtime_ns": 8}, {"target": "x"},
        )
    ]  # fmt: skip
    roots = {Manifest((each,)).root for each in [entry, *others]}
    assert len(roots) == 8
    assert Manifest((entry,)).root == Manifest((entry,), profile=({"kind": "x"},)).root
    assert Manifest((Entry("\udcff", EntryKind.SYMLINK, 0o777),)).root  # a name that is not UTF-8


def _plan(**changes: object) -> Plan:
    seen = Seen("d1", "edge-a", "edge-b", ((("edge-a", 100),),), "frozen")
    plan = Plan(
        "checkout", seen, ("sync", "shift"), (10, 100), 5.0, False, False, None, WallTime(9)
    )
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


def test_a_plan_is_what_it_saw_and_does_and_not_when_it_expires() -> None:
    plan = _plan()
    assert plan.id == _plan(expires_at=WallTime(99)).id
    seen = dataclasses.replace(plan.seen, traffic=((("edge-a", 90), ("edge-b", 10)),))
    changed = [_plan(seen=seen), _plan(drill=True), _plan(weights=(100,)), _plan(soak=1.0)]
    assert len({plan.id, *(each.id for each in changed)}) == 5
    plain = plan.plain()
    assert plain["id"] == plan.id
    assert plain["seen"]["traffic"] == [{"edge-a": 100}]
    assert plain["expires_at"] == "1970-01-01T00:00:09Z"


def test_an_error_is_one_line_and_survives_a_process_border() -> None:
    error = FencedError("has\nmoved on", where="resource x", remedy="stop")
    assert str(error) == "resource x: has moved on; stop"
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.problem, copy.where, copy.remedy) == (
        FencedError, error.problem, error.where, error.remedy,
    )  # fmt: skip


def test_every_error_has_a_code_of_its_own() -> None:
    def tree(kind: type[ForeshadowError]) -> list[type[ForeshadowError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in tree(child))]

    kinds = [
        kind for kind in tree(ForeshadowError) if kind.__module__ == ForeshadowError.__module__
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(BY_CODE[kind.code] is kind for kind in kinds)


def test_an_unknown_name_comes_with_a_near_one_or_with_some() -> None:
    names = [f"edge-{c}" for c in "abcdefghij"]
    assert unknown("host", "egde-a", names).remedy == "did you mean edge-a?"
    assert unknown("host", "zzz", names[:2]).remedy == "known: edge-a, edge-b"
    assert unknown("host", "zzz", names).remedy.endswith("edge-h, …")
    assert unknown("host", "zzz", []).remedy == "no host is registered yet"


def test_an_unknown_driver_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(SpecError, match=r"unknown kind haprxy; did you mean haproxy\?"):
        load_driver("foreshadow.directors", "haprxy")
    with pytest.raises(SpecError, match=r"unknown kind x; known kinds: none"):
        load_driver("foreshadow.nothing", "x")


def test_a_change_without_a_difference_does_nothing() -> None:
    done: list[str] = []

    def perform() -> dict[str, int]:
        done.append("x")
        return {"made": 1}

    assert Change({"a": 1}, {"a": 1}, {"made": 0}, perform).apply() == {"made": 0}
    assert not done
    change = Change({"a": 1}, {"a": 2}, {"made": 0}, perform)
    assert change.changed
    assert change.apply() == {"made": 1}
    assert change.diff == {"before": {"a": 1}, "after": {"a": 2}}
    assert done == ["x"]


def test_pauses_of_all_and_of_one_do_not_lift_each_other() -> None:
    both = Control().pause(None).pause("checkout")
    assert both.resume(None).is_paused("checkout")
    assert both.resume("checkout").is_paused("checkout")
    assert not both.resume(None).resume("checkout").is_paused("checkout")


def test_weights_pinned_for_a_resource_go_before_those_for_all() -> None:
    control = Control().pin(None, {"availability": 1.0}).pin("checkout", {"availability": 0.5})
    assert control.pinned_weights("checkout") == {"availability": 0.5}
    assert control.pinned_weights("search") == control.pinned[EVERY] == {"availability": 1.0}
    assert control.unpin("checkout").pinned_weights("checkout") == {"availability": 1.0}
    assert control.unpin(None).pinned == {}


def test_the_drivers_of_other_packages_are_asked_for_only_when_ours_do_not_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = EntryPoint("theirs", "json:JSONDecoder", "foreshadow.metrics")
    asked: list[str] = []

    def installed(group: str) -> EntryPoints:
        asked.append(group)
        return EntryPoints([theirs])

    monkeypatch.setattr(drivers, "entry_points", installed)
    find = drivers.load_driver.__wrapped__
    assert find("foreshadow.metrics", "table").__name__ == "TableSource"
    assert asked == []
    assert find("foreshadow.metrics", "theirs") is json.JSONDecoder
    assert asked == ["foreshadow.metrics"]
