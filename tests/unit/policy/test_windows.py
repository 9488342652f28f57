"""When switching is allowed, against the clock on the wall, over changes of daylight saving."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.domain.clock import WallTime
from foreshadow.domain.windows import DAYS, WindowSpec
from foreshadow.policy.windows import Span, covering, opens_at, shut, spans

BERLIN = "Europe/Berlin"
UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
ZONES = (BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia",
         "America/Sao_Paulo")  # fmt: skip
NIGHT = {"from": "22:00", "to": "04:00", "zone": BERLIN}


def window(**keys: Any) -> WindowSpec:
    return WindowSpec.model_validate(keys)


def at(text: str, zone: str = BERLIN, fold: int = 0) -> WallTime:
    wall = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return WallTime(wall.timestamp())


def length(span: Span | None) -> float:
    assert span is not None
    return (span.end - span.start) / 3600


def test_a_night_that_begins_on_a_weekday_ends_on_the_next_day() -> None:
    weekdays = window(days=["mon-fri"], **NIGHT)
    for inside in ("2026-11-23T22:00", "2026-11-24T03:59:59", "2026-11-28T03:00"):
        assert covering(weekdays, at(inside)), inside
    for outside in ("2026-11-23T21:59:59", "2026-11-23T03:00", "2026-11-24T04:00",
                    "2026-11-28T22:00"):  # fmt: skip
        assert covering(weekdays, at(outside)) is None, outside


@pytest.mark.parametrize(
    ("day", "begins", "ends", "hours"),
    [
        ("2026-03-28", "22:00", "04:00", 5.0),  # the clock jumps from 2 to 3 in that night
        ("2026-10-24", "22:00", "04:00", 7.0),  # and goes back from 3 to 2 in this one
        ("2026-03-29", "02:30", "04:00", 1.0),  # 02:30 does not exist: from the jump on
        ("2026-03-29", "01:00", "02:30", 1.0),
        ("2026-10-25", "02:15", "02:30", 1.25),  # 02:15 to 02:30 come twice: one piece
        ("2026-10-25", "00:00", "24:00", 25.0),
        ("2026-03-29", "00:00", "24:00", 23.0),
        ("2026-11-24", "00:00", "24:00", 24.0),
    ],
)
def test_a_night_with_a_change_of_the_clock_is_one_piece(
    day: str, begins: str, ends: str, hours: float
) -> None:
    made = window(**{**NIGHT, "from": begins, "to": ends})
    (first, *_) = (s for s in spans(made, at(f"{day}T00:00")) if s.start >= at(f"{day}T00:00"))
    assert length(first) == hours


def test_a_window_in_the_hour_that_does_not_exist_is_not_there() -> None:
    made = window(**{**NIGHT, "from": "02:10", "to": "02:50"})
    assert opens_at([made], [], at("2026-03-29T00:00")) == at("2026-03-30T02:10")


def test_a_day_that_a_zone_skipped_has_no_window() -> None:
    made = window(**{"from": "01:00", "to": "03:00", "zone": "Pacific/Apia"})
    apia = "Pacific/Apia"  # had no 30 December 2011
    assert opens_at([made], [], at("2011-12-29T12:00", apia)) == at("2011-12-31T01:00", apia)


def test_by_a_cron_line() -> None:
    first_sunday = window(cron="0 2 * * SUN#1", zone=BERLIN, **{"for": "4h"})
    assert opens_at([first_sunday], [], at("2026-11-24T12:00")) == at("2026-12-06T02:00")
    assert covering(first_sunday, at("2026-12-06T05:59:59")) is not None
    assert covering(first_sunday, at("2026-12-06T06:00")) is None
    often = window(cron="*/10 * * * *", zone=BERLIN, **{"for": "1m"})
    assert covering(often, at("2026-11-24T12:10:59")) is not None
    assert covering(often, at("2026-11-24T12:11")) is None


def test_once_and_never_again() -> None:
    made = window(**{"from": "2026-12-24T12:00", "to": "2026-12-27", "zone": BERLIN})
    assert covering(made, at("2026-12-26T23:59")) is not None
    assert opens_at([made], [], at("2026-12-27T00:00")) is None
    absolute = window(**{"from": "2026-12-24T11:00+00:00", "to": "2026-12-24T11:30+00:00"})
    assert covering(absolute, at("2026-12-24T12:15")) is not None


def test_a_blackout_wins_and_the_way_out_is_told() -> None:
    night = window(**NIGHT)
    freeze = window(
        **{"from": "2026-12-24", "to": "2026-12-26T23:00", "zone": BERLIN, "reason": "peak trade"}
    )
    closed = shut([night], [freeze], at("2026-12-25T23:00"))
    assert closed is not None
    assert closed.opens_at == at("2026-12-26T23:00")
    assert closed.reason == (
        "a blackout holds (peak trade); switching is allowed from Sat 2026-12-26 23:00 CET, in 1d"
    )
    ends_by_day = window(**{"from": "2026-12-24", "to": "2026-12-26T12:00", "zone": BERLIN})
    found = shut([night], [ends_by_day], at("2026-12-25T23:00"))
    assert found is not None
    assert found.opens_at == at("2026-12-26T22:00")


def test_outside_of_the_windows_the_next_one_is_told() -> None:
    closed = shut([window(**NIGHT)], [], at("2026-11-24T08:00"))
    assert closed is not None
    assert closed.reason == (
        "it is outside of policy.windows; switching is allowed from Tue 2026-11-24 22:00 CET, "
        "in 14h"
    )


def test_without_windows_it_is_always_allowed() -> None:
    assert shut([], [], at("2026-11-24T08:00")) is None


def test_a_blackout_without_an_end_is_told_as_such() -> None:
    always = window(**{"from": "00:00", "to": "24:00"})
    closed = shut([], [always], at("2026-11-24T08:00"))
    assert closed is not None
    assert closed.opens_at is None
    assert closed.reason == ("a blackout holds, and when switching is allowed again is not known")


moments = st.integers(1_704_067_200, 1_830_297_600).map(lambda at: WallTime(float(at)))
"""Whole seconds from 2024 to 2027."""
clocks = st.integers(0, 1439).map(lambda m: f"{m // 60:02d}:{m % 60:02d}")
weekly = st.builds(
    lambda begins, ends, days, zone: window(
        **{"from": begins, "to": ends if ends != begins else "24:00", "days": days, "zone": zone}
    ),
    clocks.filter(lambda clock: clock != "00:00"),
    clocks,
    st.lists(st.sampled_from(DAYS), unique=True),
    st.sampled_from(ZONES),
)


def _reads_inside(made: WindowSpec, moment: WallTime) -> bool:
    """Return whether the clock on the wall shows a time within the window."""
    wall = datetime.fromtimestamp(moment, ZoneInfo(made.zone))
    clock, begins, ends = wall.strftime("%H:%M"), str(made.from_), str(made.to)

    def on(day: datetime) -> bool:
        return not made.days or DAYS[day.weekday()] in made.days

    if begins < ends:
        return begins <= clock < ends and on(wall)
    return (clock >= begins and on(wall)) or (clock < ends and on(wall - timedelta(days=1)))


def _offsets(made: WindowSpec, moment: WallTime) -> set[timedelta | None]:
    zone = ZoneInfo(made.zone)
    hours = range(-36, 37)
    return {datetime.fromtimestamp(moment + 3600 * h, zone).utcoffset() for h in hours}


@UNHURRIED
@given(weekly, moments)
def test_far_from_a_change_it_is_what_the_clock_on_the_wall_shows(
    made: WindowSpec, moment: WallTime
) -> None:
    if len(_offsets(made, moment)) == 1:
        assert (covering(made, moment) is not None) == _reads_inside(made, moment)


@UNHURRIED
@given(weekly, moments)
def test_each_piece_has_its_written_length_but_for_the_change_within_it(
    made: WindowSpec, moment: WallTime
) -> None:
    found = list(spans(made, moment))
    assert found
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    minutes = [int(c[:2]) * 60 + int(c[3:]) for c in (str(made.from_), str(made.to))]
    written = (minutes[1] - minutes[0]) % 1440 or 1440
    zone = ZoneInfo(made.zone)
    for span in found:
        ends = [datetime.fromtimestamp(x, zone).utcoffset() for x in (span.start, span.end)]
        off = abs((span.end - span.start) / 60 - written)
        changed = abs(((ends[1] or timedelta()) - (ends[0] or timedelta())).total_seconds()) / 60
        assert off <= 60 if len(_offsets(made, span.start)) > 1 else off == changed == 0


@UNHURRIED
@given(weekly, moments)
def test_when_it_opens_it_is_open_and_was_not_a_moment_before(
    made: WindowSpec, moment: WallTime
) -> None:
    opening = opens_at([made], [], moment)
    assert opening is not None
    assert moment <= opening <= moment + 8 * 86400
    assert covering(made, opening) is not None
    if opening > moment:
        assert covering(made, WallTime(opening - 1)) is None
        assert covering(made, WallTime((moment + opening) / 2)) is None


@UNHURRIED
@given(weekly, weekly, moments)
def test_a_blackout_closes_whatever_it_covers(
    made: WindowSpec, blackout: WindowSpec, moment: WallTime
) -> None:
    closed = shut([made], [blackout], moment)
    free = covering(made, moment) is not None and covering(blackout, moment) is None
    assert (closed is None) == free
    if closed is not None and closed.opens_at is not None:
        assert shut([made], [blackout], closed.opens_at) is None
        assert closed.opens_at > moment
