"""A ledger of its own for each test, on SQLite and on PostgreSQL, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import parse_host
from foreshadow.domain.spec import parse_resource
from foreshadow.ledger import Ledger
from tests.support.postgres import MISSING, Postgres, programs, running_postgres
from tests.unit.ledger.backends import BACKENDS


class Clock:
    """A wall clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_795_507_200.0

    def __call__(self) -> WallTime:
        return WallTime(self.time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give a server for all tests of this process: starting one takes seconds."""
    if programs() is None:
        pytest.skip(MISSING)
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of a database that is empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as made:
        yield made


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
