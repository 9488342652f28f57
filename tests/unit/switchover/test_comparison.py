"""The destination against the source, by counters as HAProxy keeps them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshadow.domain.policy import SoakLimits
from foreshadow.domain.protocols import Endpoint, Served
from foreshadow.switchover.comparison import Counts, Tally, worse

A, B = "edge-a", "edge-b"
UNHURRIED = settings(deadline=None)  # the machine may be busy with other tests
LIMITS = SoakLimits()


class Haproxy:
    """Counts one server line as HAProxy does: a sum that loses a share once it is full."""

    def __init__(self, window: int = 1024) -> None:
        self.window, self.answered, self.failed, self.total = window, 0, 0, 0
        self.epoch, self.slowest = 7, 0

    def serve(self, milliseconds: Sequence[int], failed: int = 0) -> Haproxy:
        for value in milliseconds:
            self.answered += 1
            if self.answered > self.window:
                self.total -= (self.total + self.window - 1) // self.window
            self.total += value
            self.slowest = max(self.slowest, value)
        self.failed += failed
        return self

    def read(self) -> Served:
        mean = self.total // max(1, min(self.answered, self.window))
        requests = self.answered + self.failed
        return Served(
            self.epoch, requests, self.failed, self.answered, mean / 1000,
            slowest=self.slowest / 1000, window=self.window, precision=0.001,
        )  # fmt: skip


def endpoint(**served: Served) -> Endpoint:
    named = {host.replace("_", "-"): row for host, row in served.items()}
    return Endpoint("lb-1", {}, {}, {}, served=named)


@UNHURRIED
@given(
    before=st.integers(0, 4000),
    new=st.integers(60, 3000),
    old_ms=st.integers(1, 400),
    new_ms=st.integers(1, 400),
)
def test_what_is_new_is_worked_out_of_a_moving_mean(
    before: int, new: int, old_ms: int, new_ms: int
) -> None:
    line, counts = Haproxy(), Counts()
    counts.see([endpoint(edge_b=line.serve([old_ms] * before).read())])
    counts.see([endpoint(edge_b=line.serve([new_ms] * new).read())])
    tally = counts.tally(B)
    assert tally.answered == new
    # HAProxy rounds its sum up at every answer: within a millisecond more of it.
    assert abs(tally.seconds - new_ms / 1000) <= tally.unsure + 0.002 / (1 - (1 - 1 / 1024) ** new)


def test_a_reload_begins_at_zero_and_loses_nothing_of_before() -> None:
    line, counts = Haproxy().serve([10] * 50), Counts()
    counts.see([endpoint(edge_b=line.read())])
    counts.see([endpoint(edge_b=line.serve([10] * 30, failed=2).read())])
    fresh = Haproxy().serve([10] * 5)
    fresh.epoch = 8
    counts.see([endpoint(edge_b=fresh.read())])
    tally = counts.tally(B)
    assert (tally.requests, tally.failed, tally.answered) == (37, 2, 35)
    assert math.isclose(tally.seconds, 0.010, abs_tol=0.001)


def test_a_host_that_had_nothing_at_first_is_counted_from_zero() -> None:
    counts = Counts()
    counts.see([endpoint(edge_a=Haproxy().serve([5] * 100).read())])
    counts.see([endpoint(edge_b=Haproxy().serve([5] * 40, failed=1).read())])
    assert (counts.tally(A).requests, counts.tally(B).requests) == (0, 41)
    assert counts.ever(A).requests == 100


def test_servers_of_all_directors_are_added_up() -> None:
    one, other = Haproxy(), Haproxy()
    counts = Counts()
    counts.see([endpoint(edge_b=one.read()), endpoint(edge_b=other.read())])
    counts.see(
        [
            endpoint(edge_b=one.serve([10] * 30).read()),
            endpoint(edge_b=other.serve([40] * 90, failed=3).read()),
        ]
    )
    tally = counts.tally(B)
    assert (tally.requests, tally.failed) == (123, 3)
    assert math.isclose(tally.seconds, (30 * 0.010 + 90 * 0.040) / 120)


def test_directors_that_count_nothing_say_nothing() -> None:
    counts = Counts()
    counts.see([Endpoint("dns-1", {A: 100}, {}, {})])
    assert not counts.counted
    assert worse(counts.tally(B), counts.tally(A), LIMITS) == ""


GOOD = Tally(500, 0, 500, 0.020)


@pytest.mark.parametrize(
    ("shadow", "primary", "limits", "said"),
    [
        (Tally(500, 50, 450, 0.020), GOOD, {}, "10.0% of 500 requests fail, where 0.0% did"),
        (Tally(500, 7, 493, 0.020), GOOD, {}, ""),  # 1.4 %: may still be below 1 %
        (Tally(20, 1, 19, 0.020), GOOD, {}, ""),  # one unlucky request is no incident
        (Tally(20, 4, 16, 0.020), GOOD, {}, "20.0% of 20 requests"),
        (Tally(500, 50, 450, 0.020), Tally(500, 50, 450, 0.020), {}, ""),  # no worse than before
        (Tally(500, 50, 450, 0.020), GOOD, {"errors": None}, ""),
        (Tally(19, 19, 0), GOOD, {}, ""),  # too few to say anything
        (Tally(500, 0, 500, 0.100), GOOD, {}, "answers in 100 ms on average, where it was 20 ms"),
        (Tally(500, 0, 500, 0.050), GOOD, {}, ""),  # within half as much again, and the slack
        (Tally(500, 0, 500, 0.100, unsure=0.060), GOOD, {}, ""),
        (Tally(500, 0, 500, 0.100), replace(GOOD, unsure=0.060), {}, ""),
        (Tally(500, 0, 500, 0.100), GOOD, {"latency_increase": None}, ""),
        (Tally(500, 0, 500, 0.100), GOOD, {"latency_slack": "1s"}, ""),
        (Tally(500, 0, 500, 0.100), replace(GOOD, answered=5), {}, ""),
    ],
)
def test_worse_is_told_with_figures_and_doubt_is_for_the_shadow(
    shadow: Tally, primary: Tally, limits: dict[str, Any], said: str
) -> None:
    found = worse(shadow, primary, SoakLimits.model_validate(limits))
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda chance: 2000 if chance.random() < 1 / 60 else 5, id="a few take long"),
        pytest.param(lambda chance: int(chance.expovariate(1 / 60)), id="all differ"),
        pytest.param(lambda chance: 5 + chance.randrange(3), id="all alike"),
    ],
)
def test_a_shadow_that_is_as_good_is_hardly_ever_told_to_be_worse(
    draw: Callable[[random.Random], int],
) -> None:
    """Also when it is looked at again and again: what is told once is told for good."""
    chance, alarms = random.Random(7), 0
    primary = Counts()
    primary.see([endpoint()])
    primary.see([endpoint(edge_a=Haproxy().serve([draw(chance) for _ in range(3000)]).read())])
    for _ in range(200):
        line, counts = Haproxy(), Counts()
        counts.see([endpoint()])
        for _look in range(10):
            counts.see([endpoint(edge_b=line.serve([draw(chance) for _ in range(20)]).read())])
            if worse(counts.tally(B), primary.tally(A), LIMITS):
                alarms += 1
                break
    assert alarms <= 4


def test_a_service_that_is_always_slower_is_told_also_of_one_with_slow_requests() -> None:
    mixed = Tally(5000, 0, 5000, 0.040, slowest=2.0)
    assert worse(Tally(1000, 0, 1000, 0.400, slowest=2.0), mixed, LIMITS)
    assert not worse(Tally(20, 0, 20, 0.300, slowest=2.0), mixed, LIMITS)


def test_what_the_decision_promised_counts_also_where_the_primary_is_slow() -> None:
    slow = Tally(500, 0, 500, 0.400)
    assert worse(slow, slow, LIMITS) == ""
    assert "promised less than 250 ms" in worse(slow, slow, LIMITS, promised=0.250)
    assert worse(replace(slow, unsure=0.2), slow, LIMITS, promised=0.250) == ""


@UNHURRIED
@given(st.integers(1, 5000), st.integers(0, 5000))
def test_the_sure_share_is_never_above_the_seen_one(requests: int, failed: int) -> None:
    tally = Tally(requests, min(failed, requests))
    assert 0 <= tally.surely <= tally.share + 1e-12
