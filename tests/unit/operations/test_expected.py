"""What is expected of resources: kept by who evaluates, read by who moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshadow.domain.clock import MetricTime
from foreshadow.operations.expected import Expected, expected, keep_expected
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource

SPEC = resource("checkout", "edge-a", triggers={"horizon": "10m"})


@pytest.fixture
def context(tmp_path: Path) -> Metered:
    made = open_metered(tmp_path, {("checkout", "rate"): lambda at: 40.0})
    add_hosts(made.ledger, **{"edge-a": 100.0})
    made.ledger.put_resource(SPEC)
    return made


def keep(context: Metered, rate: float, at: float | None = None) -> None:
    asked = Expected(SPEC.name, MetricTime(at or context.time), 600.0, {"rate": rate})
    keep_expected(context, [asked])


def test_the_higher_one_of_forecast_and_measured_counts(context: Metered) -> None:
    assert expected(context, [SPEC]) == {"checkout": {"rate": 40.0}}
    keep(context, 90.0)
    assert expected(context, [SPEC]) == {"checkout": {"rate": 90.0}}
    keep(context, 30.0)
    assert expected(context, [SPEC]) == {"checkout": {"rate": 40.0}}


def test_a_forecast_counts_as_far_as_it_reaches(context: Metered) -> None:
    keep(context, 90.0)
    context.time += 599
    assert expected(context, [SPEC])["checkout"]["rate"] == 90.0
    context.time += 1
    assert expected(context, [SPEC])["checkout"]["rate"] == 40.0


def test_one_of_the_future_is_of_another_replay(context: Metered) -> None:
    keep(context, 90.0, context.time + 1)
    assert expected(context, [SPEC])["checkout"]["rate"] == 40.0


def test_what_is_nearly_the_same_is_not_written_again(context: Metered) -> None:
    keep(context, 90.0)
    context.time += 60
    keep(context, 92.0)
    assert expected(context, [SPEC])["checkout"]["rate"] == 90.0
    keep(context, 99.0)
    assert expected(context, [SPEC])["checkout"]["rate"] == 99.0
    context.time += 150
    keep(context, 98.0)
    assert expected(context, [SPEC])["checkout"]["rate"] == 98.0


def test_a_source_that_is_silent_leaves_the_forecast(context: Metered) -> None:
    keep(context, 90.0)
    context.broken = True
    assert expected(context, [SPEC]) == {"checkout": {"rate": 90.0}}
