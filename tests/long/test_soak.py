"""The whole soak: a million requests, two hundred switchovers, twenty reloads; about 20 minutes."""

from __future__ import annotations

import pytest

from tests.support.soak import soak


@pytest.mark.timeout(3600)
def test_a_million_requests_over_two_hundred_switchovers() -> None:
    soaked = soak(requests=1_000_000, switchovers=200, reloads=20, seconds=3000)
    tally = soaked.tally
    assert (soaked.problems, tally.errors, tally.lost) == ([], [], 0)
    assert (soaked.moved, soaked.reloads) == (200, 20)
    assert tally.requests >= 1_000_000
    assert min(tally.ok[kind] for kind in ("kept", "closed", "slow", "stream", "upload")) > 0
    assert tally.away > 200
