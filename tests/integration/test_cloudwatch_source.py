"""The source ``cloudwatch`` on a CloudWatch of loopback that pages, and is sometimes not whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from foreshadow.domain.clock import MetricClock, MetricTime, WallTime
from foreshadow.domain.errors import ForeshadowError, MetricsError
from foreshadow.domain.series import Window
from foreshadow.metrics.cloudwatch import CloudwatchSource
from foreshadow.testing.metrics import DATA, HOUR, SourceConformance
from tests.support.aws.faults import Fault
from tests.support.aws.numbers import Numbers, key
from tests.support.aws.server import Cloud, running_cloud

WINDOW = Window(MetricTime(0), MetricTime(3600), 300.0)
QUERY = "AWS/ApplicationELB TargetResponseTime p99 LoadBalancer={resource}"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


@pytest.fixture
def numbers(cloud: Cloud) -> Numbers:
    cloud.forget()
    truth = Numbers()
    cloud.truths[:] = [truth]
    return truth


def source(now: float = 1e9, **options: Any) -> CloudwatchSource:
    options = {"attempts": 2, "timeout": "1s", **options}
    return CloudwatchSource(options, MetricClock(), None, now=lambda: WallTime(now))


def latency(resource: str) -> Any:
    return key("AWS/ApplicationELB", "TargetResponseTime", "p99", LoadBalancer=resource)


class TestConformance(SourceConformance):
    class World:
        def __init__(self, numbers: Numbers) -> None:
            for name, values in DATA.items():
                began = {at - HOUR: value for at, value in values.items()}
                numbers.data[key("Shop", "rate", "Sum", Resource=name)] = began

        def source(self) -> CloudwatchSource:
            return source()

    @pytest.fixture
    def world(self, numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> World:
        monkeypatch.setattr("foreshadow.testing.metrics.QUERY", "Shop rate Sum Resource={resource}")
        return self.World(numbers)


def test_many_resources_are_asked_for_at_once(numbers: Numbers) -> None:
    names = [f"r{i}" for i in range(1200)]
    for i, name in enumerate(names):
        numbers.data[latency(name)] = {0.0: float(i)}
    found = source().fetch(QUERY, [*names, "unknown"], WINDOW)
    assert {name: series.values[0] for name, series in found.items()} == {
        name: float(i) for i, name in enumerate(names)
    }
    assert {len(request["MetricDataQueries"]) for request in numbers.asked} == {500, 201}


def test_pages_are_put_together(numbers: Numbers) -> None:
    numbers.page = 5
    for name in ("a", "b", "c"):
        numbers.data[latency(name)] = {300.0 * i: i + 0.5 for i in range(12)}
    found = source().fetch(QUERY, ["a", "b", "c"], WINDOW)
    assert [series.values for series in found.values()] == [tuple(i + 0.5 for i in range(12))] * 3
    assert len(numbers.asked) == 8


def test_a_gap_is_no_zero_and_a_zero_no_gap(numbers: Numbers) -> None:
    numbers.data[latency("shop")] = {0.0: 0.0, 600.0: 7.0}
    values = source().fetch(QUERY, ["shop"], WINDOW)["shop"].values
    assert values[0] == 0.0
    assert math.isnan(values[1])
    assert values[2] == 7.0


def test_a_period_that_has_not_ended_is_left_out(numbers: Numbers) -> None:
    numbers.data[latency("shop")] = {300.0 * i: 1.0 for i in range(12)}
    assert source(now=1000.0).fetch(QUERY, ["shop"], WINDOW)["shop"].present() == 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("PartialData", r"answered only in part for shop \(PartialData\)"),
        ("InternalError", r"answered only in part for shop \(InternalError\)"),
        ("Forbidden", "may not read the metric of shop; allow cloudwatch:GetMetricData"),
    ],
)
def test_an_answer_that_is_not_whole_is_no_answer(numbers: Numbers, status: str, said: str) -> None:
    numbers.data[latency("shop")] = {0.0: 1.0}
    numbers.status[latency("shop")] = status
    with pytest.raises(MetricsError, match=said):
        source().fetch(QUERY, ["cart", "shop"], WINDOW)


def test_a_sum_becomes_a_rate(numbers: Numbers) -> None:
    numbers.data[key("AWS/ApplicationELB", "RequestCount", "Sum", LoadBalancer="app/shop/1")] = {
        0.0: 600.0
    }
    found = source(values={"shop": {"balancer": "app/shop/1"}}).fetch(
        "AWS/ApplicationELB RequestCount Sum/s LoadBalancer={balancer}", ["shop"], WINDOW
    )
    assert found["shop"].values[0] == 2.0


@pytest.mark.parametrize(
    ("step", "period"),
    [
        (300.0, 300),
        (3600.0, 3600),
        (90.0, 60),
        (75.0, 60),
        (60.0, 60),
        (30.0, 30),
        (7.0, 1),
        (86400, 86400),
    ],
)
def test_the_period_fits_the_grid(numbers: Numbers, step: float, period: int) -> None:
    source().fetch(QUERY, ["shop"], Window(MetricTime(0), MetricTime(step * 10), step))
    assert numbers.asked[0]["MetricDataQueries"][0]["MetricStat"]["Period"] == period


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("CPUUtilization", "is not Namespace Metric Statistic"),
        ("AWS/EC2 CPUUtilization Average InstanceId", "is not Namespace Metric Statistic"),
        ("AWS/EC2 'CPU", "is not Namespace Metric Statistic"),
        ("AWS/EC2 CPUUtilization Mean", "Mean is no statistic"),
        ("AWS/EC2 CPUUtilization p99 InstanceId={instance}", "add instance to values.shop"),
    ],
)
def test_a_bad_query_is_told_in_one_line(numbers: Numbers, query: str, said: str) -> None:
    with pytest.raises(MetricsError) as caught:
        source().fetch(query, ["shop"], WINDOW)
    assert said in str(caught.value)
    assert numbers.asked == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.DENIED, "may not do cloudwatch:GetMetricData"),
        (Fault.EXPIRED, "have expired"),
        (Fault.THROTTLED, "keeps throttling cloudwatch:GetMetricData"),
        (Fault.RESET, "did not answer cloudwatch:GetMetricData"),
    ],
)
def test_what_goes_wrong_is_told(cloud: Cloud, numbers: Numbers, fault: Fault, said: str) -> None:
    cloud.trap(fault, times=9)
    with pytest.raises(MetricsError) as caught:
        source().fetch(QUERY, ["shop"], WINDOW)
    assert said in str(caught.value)


def test_a_fault_on_a_later_page_loses_nothing(cloud: Cloud, numbers: Numbers) -> None:
    numbers.page = 4
    numbers.data[latency("shop")] = {300.0 * i: 1.0 for i in range(12)}
    cloud.trap(Fault.THROTTLED, skip=1)
    assert source().fetch(QUERY, ["shop"], WINDOW)["shop"].present() == 12


def test_options_are_refused_in_one_line() -> None:
    with pytest.raises(ForeshadowError, match="regoin: unknown key; did you mean region"):
        source(regoin="eu-west-1")
