"""What was claimed, and what alarms a limit would have raised by it."""

import numpy as np
import pytest

from foreshadow.forecast.batch import Batch
from foreshadow.forecast.claims import KEPT, Claimed
from foreshadow.forecast.fleet import Fleet, FleetFit
from foreshadow.forecast.history import History
from foreshadow.forecast.margin import Limit, Margin, margin_of_claims
from tests.unit.forecast.days import START, rhythm

HORIZONS = (1, 2, 4)
HOUR = 3600.0


@pytest.mark.parametrize("cells", [1, 4])
def test_a_claim_is_the_highest_that_was_said_in_its_hour(cells: int) -> None:
    values = np.repeat(rhythm(12), cells) + np.random.default_rng(3).normal(0, 0.01, 288 * cells)
    everything = Batch.of(START, HOUR / cells, np.stack([values, 2 * values]))
    known = everything.cells - 11 * cells
    fit = FleetFit.begin(Fleet(), everything.cut(0, known), HORIZONS)
    said = []
    for cell in range(known, everything.cells):
        said.append(fit.predict(KEPT)[1].max(axis=0))
        fit.update(everything.values[:, cell : cell + 1])
    for k, level in enumerate(KEPT):
        claimed = fit.memory.claims.of(1, level)
        assert claimed.cells == cells
        for highest, age in zip(claimed.highest[-6:-1], claimed.ages[-6:-1], strict=True):
            last = len(said) - age  # said[0] is from the cell before the first new one
            assert highest == pytest.approx(max(s[k] for s in said[last + 1 - cells : last + 1]))


def test_claims_begin_with_the_first_interval_that_was_known_and_go_on_from_what_was_kept() -> None:
    everything = Batch.of(START, HOUR, np.stack([rhythm(20), rhythm(20, seed=2)]))
    fit = FleetFit.begin(Fleet(), everything.cut(0, 19 * 24), HORIZONS)
    # Of a look back of seven days, the first two folds of two days only tell what to expect.
    assert (~np.isnan(fit.memory.claims.of(0, 0.8).highest)).sum() == 3 * 24
    again = FleetFit.resume(Fleet(), everything.cut(0, 19 * 24), HORIZONS, fit.state())
    for one in (fit, again):
        one.update(everything.values[:, 19 * 24 :])
    known, resumed = (one.memory.claims.highest for one in (fit, again))
    assert np.array_equal(known, resumed, equal_nan=True)
    half, more = (fit.memory.claims.of(0, level).highest[-1] for level in (0.5, 0.8))
    assert half < fit.memory.claims.of(0, 0.65).highest[-1] < more
    highest = [fit.memory.claims.of(0, level).highest[-1] for level in (0.95, 0.99)]
    assert highest[0] == highest[1]


def margin(values: np.ndarray, claims: np.ndarray, budget: float, threshold: float = 1.0) -> Margin:
    """Return the margin by hourly claims that end with the cell before the newest."""
    claimed = Claimed(claims, np.arange(len(claims), 0, -1), 1)
    return margin_of_claims(
        History(START, HOUR, values), claimed, 2, 0.1, Limit(threshold, 0.8, budget)
    )


def test_an_alarm_is_false_when_no_breach_follows_and_too_many_ask_for_a_margin() -> None:
    values, claims = np.full(7 * 24 + 1, 0.5), np.full(7 * 24, 0.6)
    claims[20::24] = 1.15  # on each of seven days it seems to come
    claims[167] = 5.0  # and now: nobody knows yet
    assert margin(values, claims, budget=9.0) == Margin(0.0, 7, 7)
    found = margin(values, claims, budget=1.0)
    assert (found.value, found.alarms) == (pytest.approx(0.15), 0)
    values[[22, 46, 70, 94, 118]] = 1.2  # on five of them it came
    assert margin(values, claims, budget=1.0) == Margin(0.0, 7, 2)
    claims[[22, 46]] = 9.0  # no alarm, but a breach that is seen
    values[30] = np.nan
    claims[[30, 31]] = [9.0, np.nan]  # nor where nothing is known
    assert margin(values, claims, budget=1.1) == Margin(0.0, 7, 2)


def test_claims_that_no_margin_calms_are_told_and_shut_the_gate() -> None:
    values, claims = np.full(7 * 24 + 1, 0.5), np.full(7 * 24, 0.6)
    claims[20::24] = 9.0
    found = margin(values, claims, budget=1.0)
    assert found.problem == (
        "over the last 7.0 days 7 of its 7 alarms would have been false; the budget is 1 in a week"
    )
    assert found.value == pytest.approx(0.4)
    assert margin(values, np.full(7 * 24, np.nan), budget=1.0) == Margin()
