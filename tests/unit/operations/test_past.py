"""What was fetched is kept: a tick asks for what is new, and gets what all of it would be."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from foreshadow.domain.clock import MetricTime
from foreshadow.domain.errors import MetricsError
from foreshadow.domain.series import Series, Window
from foreshadow.ledger.retention import RETENTION
from foreshadow.operations.past import Past
from tests.unit.operations.metered import Metered, open_metered

STEP, DAY = 300.0, 86400.0
NOW = 1_500_336_300.0
LENGTH = 3 * DAY
NAMES = ("mail", "shop")


class Told:
    """A source that answers what a test says, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], float]] = []
        self.values: dict[tuple[str, float], float] = {}
        self.broken = False

    def fetch(self, query: str, resources: Sequence[str], window: Window) -> dict[str, Series]:
        if self.broken:
            raise MetricsError("does not answer", where="source told")
        self.asked.append((tuple(resources), window.end - window.start))
        grid = window.grid()
        return {
            name: Series(grid[0], window.step, tuple(self.value(name, at) for at in grid))
            for name in resources
            if name != "silent"
        }

    def value(self, name: str, at: float) -> float:
        return self.values.get((name, at), len(name) + math.sin(at / 7000))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Metered]:
    made = open_metered(tmp_path, {})
    made.time = NOW
    with made.ledger:
        yield made


def window(end: float, length: float = LENGTH) -> Window:
    return Window(MetricTime(end - length), MetricTime(end), STEP)


def fetched(
    context: Metered, source: Told, end: float, names: Sequence[str] = NAMES, **keys: float
) -> dict[str, Series]:
    """Fetch, and see that it is what the source has."""
    asked = window(end, keys.get("length", LENGTH))
    found = Past(context, write=True).fetch(source, "a source", "q", names, asked)
    for name, series in found.items():
        assert series.times() == asked.grid()
        truth = [source.value(name, at) for at in asked.grid()]
        assert list(series.values) == pytest.approx(truth, rel=1e-6, nan_ok=True)
    return found


def test_the_second_tick_asks_for_the_last_hour_and_what_is_new(context: Metered) -> None:
    source = Told()
    assert fetched(context, source, NOW).keys() == set(NAMES)
    fetched(context, source, NOW + STEP)
    fetched(context, source, NOW + 2 * STEP)
    assert source.asked == [(NAMES, LENGTH), (NAMES, 3600 + STEP), (NAMES, 3600 + STEP)]


def test_samples_that_come_late_are_seen_and_a_gap_takes_nothing_away(context: Metered) -> None:
    source = Told()
    late = NOW - 600
    source.values["shop", late] = math.nan
    fetched(context, source, NOW)
    source.values["shop", late] = 7.5
    fetched(context, source, NOW + STEP)
    source.values["shop", late] = math.nan
    found = Past(context, write=True).fetch(source, "a source", "q", NAMES, window(NOW + 2 * STEP))
    assert found["shop"].values[found["shop"].times().index(MetricTime(late))] == 7.5


def test_it_goes_on_over_days_and_after_an_outage(context: Metered) -> None:
    source = Told()
    fetched(context, source, NOW)
    source.broken = True
    with pytest.raises(MetricsError, match="does not answer"):
        fetched(context, source, NOW + DAY)
    source.broken = False
    fetched(context, source, NOW + 1.5 * DAY)
    assert source.asked[-1] == (NAMES, 3600 + 1.5 * DAY)
    fetched(context, source, NOW + 3 * DAY)
    assert source.asked[-1] == (NAMES, 3600 + 1.5 * DAY)
    fetched(context, source, NOW + 20 * DAY)
    assert source.asked[-1] == (NAMES, LENGTH)


def test_a_new_resource_is_asked_for_alone_and_one_without_samples_only_once(
    context: Metered,
) -> None:
    source = Told()
    fetched(context, source, NOW)
    more = (*NAMES, "bank", "silent")
    assert "silent" not in fetched(context, source, NOW + STEP, more)
    assert sorted(source.asked[1:]) == [(("bank", "silent"), LENGTH), (NAMES, 3600 + STEP)]
    fetched(context, source, NOW + 2 * STEP, more)
    assert source.asked[3:] == [(more, 3600 + STEP)]


def test_one_of_many_is_asked_for_without_reading_all(context: Metered) -> None:
    source = Told()
    many = tuple(f"r{k}" for k in range(9))
    fetched(context, source, NOW, many)
    fetched(context, source, NOW + STEP, many[:1])
    assert source.asked[-1] == (many[:1], LENGTH)
    fetched(context, source, NOW + 2 * STEP, many)
    assert source.asked[-1] == (many, 3600 + 2 * STEP)


def test_one_that_nobody_asks_for_any_more_is_left_out(context: Metered) -> None:
    source = Told()
    fetched(context, source, NOW, (*NAMES, "gone"))
    for day in range(1, 9):
        fetched(context, source, NOW + day * DAY)
    fetched(context, source, NOW + 8 * DAY + STEP)
    assert source.asked[-1] == (NAMES, 3600 + STEP)
    fetched(context, source, NOW + 8 * DAY + 2 * STEP, (*NAMES, "gone"))
    assert (("gone",), LENGTH) in source.asked[-2:]


@pytest.mark.parametrize("end", [NOW - DAY, NOW])
def test_more_history_than_is_kept_or_an_earlier_time_is_asked_for_whole(
    context: Metered, end: float
) -> None:
    source = Told()
    fetched(context, source, NOW)
    fetched(context, source, end, length=LENGTH + DAY)
    assert source.asked[-1] == (NAMES, LENGTH + DAY)


def test_what_is_in_use_is_not_pruned_and_what_cannot_be_read_is_fetched_again(
    context: Metered,
) -> None:
    source = Told()
    for tick in range(9):
        context.time = NOW + tick * DAY / 2
        fetched(context, source, context.time)
        context.ledger.prune(context.now())
    assert source.asked[1:] == [(NAMES, 3600 + DAY / 2)] * 8
    context.time += RETENTION["cache"] + 1
    context.ledger.prune(context.now())
    fetched(context, source, context.time)
    assert source.asked[-1] == (NAMES, LENGTH)


def test_damage_is_fetched_over(context: Metered) -> None:
    source = Told()
    fetched(context, source, NOW)
    with context.ledger._database.write() as connection:
        connection.exec_driver_sql("UPDATE cache SET text = 'AAAA' WHERE key LIKE 'past:% %'")
    fetched(context, source, NOW + STEP)
    assert source.asked[-1] == (NAMES, LENGTH)


def test_check_mode_keeps_nothing(context: Metered) -> None:
    source = Told()
    for _ in range(2):
        Past(context, write=False).fetch(source, "a source", "q", NAMES, window(NOW))
    assert source.asked == [(NAMES, LENGTH)] * 2
