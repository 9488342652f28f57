"""Waiting and trying again: with a deadline, ever more slowly, and never past a safe point."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import ServiceError, UnreachableError
from foreshadow.switchover.pace import RETREAT, Clock, Pace, Stop, StoppedError


@dataclass
class Time:
    at: float = 0.0
    naps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.naps.append(seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    clock = Clock(lambda: WallTime(time.at), lambda: time.at, time.sleep, lambda: 1.0)
    return Pace(clock, lambda: None, Stop(lambda: time.at))


def test_what_passes_is_tried_again_ever_more_slowly(pace: Pace, time: Time) -> None:
    tries: list[float] = []

    def action() -> str:
        tries.append(time.at)
        if len(tries) < 4:
            raise UnreachableError("no answer")
        return "done"

    assert pace.retry(action, 10) == "done"
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps == pytest.approx([0.05, 0.1, 0.2])


def test_the_last_error_is_told_at_the_deadline(pace: Pace, time: Time) -> None:
    def action() -> str:
        raise UnreachableError(f"no answer at {time.at:.2f}")

    with pytest.raises(UnreachableError, match="no answer at"):
        pace.retry(action, 1.0)
    assert 0.5 < time.at <= 1.0


def test_what_does_not_pass_is_not_tried_again(pace: Pace, time: Time) -> None:
    def action() -> str:
        raise ServiceError("the command does not exist")

    with pytest.raises(ServiceError):
        pace.retry(action, 10)
    assert time.at == 0


def test_waiting_ends_when_it_holds_or_when_the_time_is_over(pace: Pace, time: Time) -> None:
    assert pace.until(lambda: time.at >= 0.5, 2)
    assert time.at < 0.7
    assert not pace.until(lambda: False, 2)
    assert time.at < 3


def test_a_wish_to_stop_is_noticed_within_a_slice(pace: Pace, time: Time) -> None:
    def ask_at_one() -> None:
        if time.at >= 1:
            pace.stop.ask()

    pace.still_ours = ask_at_one
    with pytest.raises(StoppedError):
        pace.sleep(60)
    assert time.at < 1.3


def test_undoing_gets_a_while_after_the_wish_to_stop(pace: Pace, time: Time) -> None:
    pace.stop.ask()
    pace.retreating = True
    pace.sleep(RETREAT - 0.5)
    with pytest.raises(StoppedError):
        pace.sleep(60)
    assert time.at < RETREAT + 0.5
