"""``traffic_switch`` over Cloudflare: check mode tells what happens, and it happens once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.spec import Mode
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.traffic import point_traffic
from foreshadow.wire.clock import system_time
from tests.support.cloudflare import TOKEN
from tests.support.cloudflare_world import (
    DESTINATION,
    NO_AGENTS,
    SOURCE,
    CloudflareWorld,
    DnsWorld,
    LbWorld,
    running_world,
)
from tests.unit.switchover.world import spec_of


@contextmanager
def registered(kind: type[CloudflareWorld], folder: Path) -> Iterator[tuple[Any, Context]]:
    """Give a world, and a ledger that knows a resource behind it, whose director is ``kind``'s."""
    with (
        running_world(kind, folder) as world,
        Ledger.open(f"sqlite:///{folder}/ledger.db", system_time) as ledger,
    ):
        world.fake.pools.interval = world.fake.pools.timeout = 0
        ledger.put_resource(spec_of(directors=[world.spec().model_dump()]))
        for host in (SOURCE, DESTINATION):
            ledger.put_host(Host(name=host, address="127.0.0.1"))
            role = Role.PRIMARY if host == SOURCE else Role.SHADOW
            ledger.put_instance(
                Instance(resource="checkout", host=host, role=role, mode=Mode.HOT,
                         state=RunState.RUNNING, address="127.0.0.1", port=8080)
            )  # fmt: skip
        yield world, Context(ledger, NO_AGENTS, system_time)


@pytest.mark.parametrize("kind", [DnsWorld, LbWorld], ids=["dns", "lb"])
def test_check_and_diff_are_exact_and_a_second_run_changes_nothing(
    kind: type[CloudflareWorld], tmp_path: Path
) -> None:
    with registered(kind, tmp_path) as (world, context):
        wanted = {DESTINATION: 100}
        names = [endpoint.name for endpoint in world.director().read()]

        checked = point_traffic(context, "checkout", wanted)
        assert checked.changed
        assert checked.diff == {
            "before": {"weights": {name: {SOURCE: 100} for name in names}},
            "after": {"weights": dict.fromkeys(names, wanted)},
        }
        assert all(call.method == "GET" for call in world.fake.calls)

        done = point_traffic(context, "checkout", wanted)
        result = done.apply()
        assert done.diff == checked.diff
        assert result["converged"] is True
        assert result["after"] == checked.diff["after"]["weights"]
        assert world.served_by() == {DESTINATION}

        world.fake.calls.clear()
        again = point_traffic(context, "checkout", wanted)
        assert not again.changed
        assert again.apply() == {"before": result["after"], "after": result["after"],
                                 "converged": True}  # fmt: skip
        paths = [f"{call.method} {call.path.rsplit('/', 1)[-1]}" for call in world.fake.calls]
        if kind is DnsWorld:
            assert paths == ["GET dns_records"], "an unchanged record costs one list call"
        else:
            assert len(paths) == 4, "a pool costs one look at it and one at its health"
        kept = context.ledger.resource("checkout").plain()
        assert TOKEN not in f"{checked.diff} {result} {kept}"


def test_a_share_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    with registered(DnsWorld, tmp_path) as (world, context):
        change = point_traffic(context, "checkout", {SOURCE: 50, DESTINATION: 50})
        with pytest.raises(Exception, match="cannot share traffic"):
            change.apply()
        assert world.served_by() == {SOURCE}
