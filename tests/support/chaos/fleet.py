"""The fleets that are broken: one for each plan, behind proxies, with the ledger on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from foreshadow.operations.context import Connection, Context
from foreshadow.wire.clock import system_time
from tests.support import writers
from tests.support.chaos.controller import CALL_SECONDS, LEASE_SECONDS
from tests.support.chaos.faults import Faults
from tests.support.fleet import Fleet, running_fleet
from tests.support.haproxy import free_port
from tests.support.postgres import running_postgres
from tests.support.proxies import running_proxies

HEALTH = {"path": "/healthz", "successes": 3, "timeout": "1s"}
SYNC = {"interval": "500ms", "max_staleness": "1h"}


def _changes(plan: str) -> dict[str, Any]:
    """Return how the resource of a plan differs from the usual one."""
    if plan == "shift":
        policy: dict[str, Any] = {"steps": [50, 100], "soak": "100ms"}
        return {"policy": policy, "service": {"health": HEALTH}, "sync": SYNC}
    changed = writers.changes()
    return {
        "policy": {**changed["policy"], "pause_limit": "1s"},
        "service": {**changed["service"], "health": HEALTH},
        "sync": SYNC,
    }


@contextmanager
def running_chaos(folder: Path, plan: str) -> Iterator[tuple[Fleet, Faults, Connection]]:
    """Run the fleet of a plan until the end of the block.

    :returns: the fleet, its faults, and how a controller reaches all of it through the proxies.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        proxies = stack.enter_context(running_proxies())
        port = free_port(postgres.address)
        proxies.add("ledger", (postgres.address, port), (postgres.address, postgres.port))
        fleet = stack.enter_context(
            running_fleet(folder, ledger_url=postgres.url(), proxies=proxies, **_changes(plan))
        )
        # The next run is a controller of the same make as the one that was broken.
        fleet.context = Context(
            fleet.ledger, fleet.agents.access, system_time, lease_seconds=LEASE_SECONDS
        )
        connection = replace(fleet.connection, ledger=postgres.url(port), timeout=CALL_SECONDS)
        yield fleet, Faults(fleet, proxies, postgres), connection
