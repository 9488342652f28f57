"""A ledger in a folder of its own, and a wall clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import parse_host
from foreshadow.domain.spec import parse_resource
from foreshadow.ledger import Ledger


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_795_507_200.0

    def __call__(self) -> WallTime:
        return WallTime(self.time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    """Give a ledger with the resource checkout on edge-a, and three hosts."""
    with Ledger.open(url, clock) as opened:
        for name in ("edge-a", "edge-b", "edge-c"):
            opened.put_host(parse_host({"name": name, "address": "127.0.0.1"}))
        opened.put_resource(
            parse_resource(
                {
                    "name": "checkout",
                    "primary": "edge-a",
                    "service": {"command": ["/opt/checkout"], "port": 8080},
                }
            )
        )
        yield opened
