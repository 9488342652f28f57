"""What was recorded, in detail and condensed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.agent.samples import DETAIL_SECONDS, KEPT_SECONDS, Samples
from foreshadow.domain.clock import WallTime

START = 1_700_000_040.0  # the end of a minute


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Samples]:
    found = Samples(tmp_path / "samples.db")
    yield found
    found.close()


def fill(samples: Samples, seconds: int) -> None:
    for second in range(1, seconds + 1):
        samples.put(WallTime(START + second), {("shop", "rate"): float(second)})


def test_a_window_is_open_at_its_start_and_closed_at_its_end(samples: Samples) -> None:
    fill(samples, 5)
    assert samples.read("shop", "rate", START + 2, START + 4) == (
        (START + 3, 3.0),
        (START + 4, 4.0),
    )
    assert samples.read("shop", "latency", START, START + 9) == ()


def test_old_samples_become_means_of_whole_minutes(samples: Samples) -> None:
    fill(samples, 150)
    now = WallTime(START + 130 + DETAIL_SECONDS)
    samples.condense(now)
    found = samples.read("shop", "rate", 0, now)
    assert found[:2] == ((START + 60, 30.5), (START + 120, 90.5))
    assert found[2] == (START + 121, 121.0)
    assert len(found) == 2 + 30
    samples.condense(now)
    assert samples.read("shop", "rate", 0, now) == found


def test_the_oldest_are_forgotten(samples: Samples) -> None:
    fill(samples, 60)
    samples.condense(WallTime(START + 60 + DETAIL_SECONDS))
    assert len(samples.read("shop", "rate", 0, START + 60)) == 1
    samples.condense(WallTime(START + 60 + KEPT_SECONDS))
    assert samples.read("shop", "rate", 0, START + 60) == ()
