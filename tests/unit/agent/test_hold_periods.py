"""For how long requests were held, as an agent measures it."""

from __future__ import annotations

import pytest

from foreshadow.agent.hold_periods import HoldPeriods

PLACE = ("/run/haproxy.sock", "checkout")


class Time:
    at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def periods(time: Time) -> HoldPeriods:
    return HoldPeriods(time)


def test_it_lasts_from_its_beginning_until_it_is_let_go_and_counts_once(
    periods: HoldPeriods, time: Time
) -> None:
    periods.begun(PLACE, 7, 100.0, 5.0)
    time.at = 101.5
    assert periods.ended(PLACE, 7) == 1.5
    assert periods.ended(PLACE, 7) == 0.0


def test_it_lasts_no_longer_than_it_was_meant_to(periods: HoldPeriods, time: Time) -> None:
    periods.begun(PLACE, 7, 100.0, 5.0)
    time.at = 200.0
    assert periods.ended(PLACE, 7) == 5.0


def test_a_second_order_lengthens_what_still_runs_and_begins_anew_after_it(
    periods: HoldPeriods, time: Time
) -> None:
    periods.begun(PLACE, 7, 100.0, 5.0)
    periods.begun(PLACE, 7, 104.0, 5.0)
    time.at = 106.0
    assert periods.ended(PLACE, 7) == 6.0
    periods.begun(PLACE, 7, 110.0, 5.0)
    periods.begun(PLACE, 7, 120.0, 5.0)
    time.at = 121.0
    assert periods.ended(PLACE, 7) == 1.0


def test_what_another_process_held_or_was_let_go_otherwise_is_not_known(
    periods: HoldPeriods,
) -> None:
    periods.begun(PLACE, 7, 100.0, 5.0)
    assert periods.ended(PLACE, 8) == 0.0
    periods.begun(PLACE, 7, 100.0, 5.0)
    periods.begun(PLACE, 7, 101.0, 0.0)
    assert periods.ended(PLACE, 7) == 0.0
