"""The rolling backtest is honest: it sees nothing that was not known."""

from collections.abc import Callable

import numpy as np
import pytest

from foreshadow.forecast.backtest import SPAN, Backtest, backtest
from foreshadow.forecast.gate import gate
from foreshadow.forecast.history import Array, History
from foreshadow.forecast.model import Fit, Fold, Memory, boundaries, fold_at
from foreshadow.forecast.structure import Structure
from tests.unit.forecast.days import STEP, history, hours, rhythm

HORIZONS = (1, 2, 3, 4)


def flat_structure(seen: History) -> Structure:
    """A structure without any shape: what a fit may see shows in its offset alone."""
    mean = float(np.nanmean(seen.values))
    return Structure(seen.start, 1.0, mean, 1.0, 0.0, 0.0, (), (), (), float(seen.end), 1)


def folds_of(past: History, fit: Fit) -> list[Fold]:
    return [fold_at(past, b, HORIZONS, Memory(), fit) for b in boundaries(past, SPAN)]


def predictions_until(values: Array, cell: int, fit: Callable[[Array], Fit]) -> Array:
    """What is predicted from every origin of the backtest up to a cell."""
    past = history(values)
    said = []
    folds = folds_of(past, fit(values))
    for fold, following in zip(folds, [*folds[1:], None], strict=True):
        first = round((fold.boundary - past.start) / STEP)
        end = cell if following is None else round((following.boundary - past.start) / STEP)
        origins = np.arange(first, min(end, cell + 1))
        said.append(fold.predict(past, origins) if len(origins) else np.empty((0, 4)))
    return np.concatenate(said)


def changes_with_the_future(fit: Callable[[Array], Fit]) -> bool:
    """Whether what was predicted up to a cell depends on what came after it."""
    values, cell = rhythm(20), 17 * 24 + 5
    other = values.copy()
    other[cell + 1 :] += 3.0
    before, after = (predictions_until(v, cell, fit) for v in (values, other))
    assert before.shape == after.shape
    assert len(before) > 24
    return bool(np.abs(before - after).max() > 1e-9)


def test_no_prediction_depends_on_what_came_after_its_origin() -> None:
    assert not changes_with_the_future(lambda _: flat_structure)


def test_a_planted_leak_is_caught() -> None:
    def leaking(everything: Array) -> Fit:
        return lambda seen: flat_structure(History(seen.start, seen.step, everything))

    assert changes_with_the_future(leaking)


def judged(values: Array) -> Backtest:
    past = history(values)
    return backtest(past, folds_of(past, flat_structure), HORIZONS)


def test_the_last_value_cannot_be_beaten_on_a_random_walk() -> None:
    steps = np.random.default_rng(3).normal(0, 1, 24 * 25)
    past = judged(100 + np.cumsum(steps))
    skill = past.skill()
    assert skill is not None
    assert (skill.rival, skill.lower <= 0) == ("last value", True)
    assert not gate(past).open


def test_errors_are_those_of_the_cells_that_came() -> None:
    past = judged(rhythm(20))
    assert past.errors.shape == past.naive_errors["last value"].shape
    # The last origin has one observation, the one before two, and so on.
    assert [int(n) for n in np.isnan(past.errors).sum(axis=0)] == [0, 1, 2, 3]


def test_the_gate_opens_on_a_rhythm_and_shuts_on_noise_and_on_youth() -> None:
    hour = hours(25)
    loud = np.random.default_rng(5).normal(0, 0.05, len(hour))
    ramp = 1 + 0.5 * np.sin(2 * np.pi * hour / 24) + 0.01 * loud
    opened = gate(judged(ramp * (1 + 0.3 * np.sin(2 * np.pi * hour / (24 * 5))) + loud))
    assert opened.open
    assert "erred" in opened.reason
    white = gate(judged(5 + np.random.default_rng(4).normal(0, 1, len(hour))))
    assert white.skill is not None
    young = gate(judged(rhythm(4.2)))
    assert not young.open
    assert "are needed" in young.reason


def test_a_regime_that_changed_shuts_the_gate() -> None:
    values = 1 + 0.5 * np.sin(2 * np.pi * hours(25) / 24)
    values[-36:] = np.random.default_rng(2).uniform(3, 9, 36)
    assert not gate(judged(values)).open


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_gaps_are_left_out_and_nothing_else_changes_shape(share: float) -> None:
    values = rhythm(20)
    gone = np.random.default_rng(1).random(len(values)) < share
    values[gone] = np.nan
    past = judged(values)
    assert np.isfinite(past.errors[~np.isnan(past.errors)]).all()
    assert past.coverage is not None
    assert 0.6 < past.coverage < 0.95
