"""What opens the gate and what shuts it, each with its reason."""

from dataclasses import replace

import numpy as np
import pytest

from foreshadow.forecast.backtest import SPAN, Backtest, backtest
from foreshadow.forecast.gate import gate
from foreshadow.forecast.history import DAY, Array, History
from foreshadow.forecast.margin import Limit, margin
from foreshadow.forecast.model import Memory, boundaries, fold_at
from foreshadow.forecast.skill import skill
from tests.unit.forecast.days import START
from tests.unit.forecast.test_backtest import flat_structure

STEP = 900.0
HORIZONS = (1, 2, 3)


def quarters(days: float, seed: int = 7) -> Array:
    """A daily rhythm on a quarter of an hour's grid, with an evening twice as high as the noon."""
    at = np.arange(round(days * 96)) * STEP
    noise = np.random.default_rng(seed).normal(0, 0.02, len(at))
    turn = 2 * np.pi * at / DAY
    return np.asarray(0.4 - 0.2 * np.cos(turn) + 0.1 * np.sin(2 * turn) + noise)


def judged(values: Array) -> tuple[History, Backtest]:
    past = History(START, STEP, values)
    folds = [fold_at(past, b, HORIZONS, Memory(), flat_structure) for b in boundaries(past, SPAN)]
    return past, backtest(past, folds, HORIZONS)


def test_a_rhythm_opens_it() -> None:
    opened = gate(judged(quarters(25))[1])
    assert opened.open, opened
    assert opened.skill is not None
    assert opened.skill > 0


def changed(values: Array, kind: str, since: int) -> Array:
    """The same history, and from a cell on another life."""
    after = values.copy()
    tail = len(after[since:])
    draw = np.random.default_rng(11)
    if kind == "mirrored":
        after[since:] = 0.8 - after[since:]
    elif kind == "noise":
        after[since:] = draw.uniform(0, 1, tail)
    elif kind == "shifted half a day":
        after[since:] = np.roll(values, 48)[since:]
    elif kind == "bursts":
        after[since:] += np.where(draw.random(tail) < 0.1, 1.0, 0.0)
    return after


@pytest.mark.parametrize("kind", ["mirrored", "noise", "shifted half a day", "bursts"])
def test_a_regime_change_shuts_it_within_a_day_and_says_so(kind: str) -> None:
    days, before = 25, 24
    values = changed(quarters(days), kind, before * 96)
    assert gate(judged(values[: before * 96])[1]).open
    shut = gate(judged(values)[1])
    assert not shut.open
    assert "last" in shut.reason


def test_a_skill_that_a_single_good_day_made_may_be_chance() -> None:
    theirs = np.full((96 * 8, 1), 0.1)
    ours = theirs * np.random.default_rng(1).uniform(0.9, 1.1, (len(theirs), 1))
    ours[:96] *= 0.2
    found = skill(ours, theirs, "last value", 24)
    assert found is not None
    assert found.value > 0.05
    assert found.lower < 0.5 * found.value
    level = skill(0.8 * theirs, theirs, "last value", 24)
    assert level is not None
    assert level.lower == pytest.approx(0.2)


def test_the_interval_of_a_skill_holds_about_as_often_as_it_claims() -> None:
    draw = np.random.default_rng(5)
    below = 0
    for _ in range(300):
        ours, theirs = np.abs(draw.normal(0, 0.9, (400, 1))), np.abs(draw.normal(0, 1, (400, 1)))
        found = skill(ours, theirs, "x", 20)
        assert found is not None
        below += found.lower <= 0.1  # the true skill
    assert 0.9 < below / 300 < 0.99


def test_a_perfect_rival_cannot_be_beaten_and_no_rival_gives_no_skill() -> None:
    some, zero = np.ones((50, 1)), np.zeros((50, 1))
    found = skill(some, zero, "x", 5)
    assert found is not None
    assert found.value == -np.inf
    with np.errstate(all="raise"):  # nor one that errs by less than can be divided by
        for least in (5e-324, 1e-300):
            near = skill(some * 1e17, zero + least, "x", 5)
            assert near is not None
            assert near.value == -np.inf
        once = zero + least
        once[7] = 1.0
        found = skill(some, once, "x", 5)
        assert found is not None
        assert (found.value, found.lower) == (-49.0, -np.inf)
    assert skill(some * np.nan, some, "x", 5) is None


def test_alarms_that_nothing_followed_ask_for_a_margin() -> None:
    past, tests = judged(quarters(25))
    top = float(np.nanmax(past.values))
    within = margin(past, tests, HORIZONS, Limit(0.55, 0.8, 7.0))
    assert within.problem is None
    assert within.alarms - within.false >= 5  # it is passed on every day
    # Hardly ever passed, often nearly: what a low budget bears is a margin.
    eager = margin(past, tests, HORIZONS, Limit(top - 0.02, 0.95, 100.0))
    strict = margin(past, tests, HORIZONS, Limit(top - 0.02, 0.95, 0.1))
    assert eager.value == 0.0
    assert strict.value > 0.0
    assert strict.false <= 1 < eager.false


def test_false_alarms_that_no_margin_ends_shut_it() -> None:
    past, tests = judged(quarters(25))
    promising = replace(tests, errors=tests.errors - 5.0)  # far more each time than what came
    asked = margin(past, promising, HORIZONS, Limit(2.0, 0.999, 1.0))
    assert asked.problem is not None
    closed = gate(tests, asked.problem)
    assert not closed.open
    assert "alarms would have been false; the budget is 1 in a week" in closed.reason


def test_a_limit_that_is_never_near_asks_for_no_margin() -> None:
    past, tests = judged(quarters(25))
    asked = margin(past, tests, HORIZONS, Limit(50.0, 0.8, 1.0))
    assert (asked.value, asked.alarms, asked.problem) == (0.0, 0, None)
