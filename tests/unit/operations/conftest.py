"""A context over a ledger of its own, with three hosts, and a wall clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.fleet import parse_host
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.wire.access import Access

NOW = WallTime(1_795_507_200.0)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: NOW) as ledger:
        access = Access(ledger.host, None, 1.0)
        made = Context(ledger, access, lambda: NOW)
        hosts: list[dict[str, object]] = [
            {"name": f"edge-{c}", "address": "127.0.0.1"} for c in "abc"
        ]
        hosts.append({"name": "lb-1", "address": "127.0.0.9", "relay": True})
        for host in hosts:
            ledger.put_host(parse_host(host))
        yield made
        access.close()
