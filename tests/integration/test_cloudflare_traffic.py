"""``traffic_switch`` over Cloudflare: check mode tells what happens, and it happens once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.spec import Mode
from foreshadow.ledger import Ledger
from foreshadow.wire.clock import system_time
from tests.support.cloudflare import TOKEN
from tests.support.cloudflare_world import (
    DESTINATION,
    SOURCE,
    CloudflareWorld,
    DnsWorld,
    LbWorld,
    running_world,
)
from tests.support.modules import Modules
from tests.unit.switchover.world import spec_of


@contextmanager
def registered(kind: type[CloudflareWorld], folder: Path) -> Iterator[tuple[Any, Modules]]:
    """Give a world, and modules whose ledger knows a resource behind it."""
    url = f"sqlite:///{folder}/ledger.db"
    with running_world(kind, folder) as world, Ledger.open(url, system_time) as ledger:
        world.fake.pools.interval = world.fake.pools.timeout = 0
        ledger.put_resource(spec_of(directors=[world.spec().model_dump()]))
        for host in (SOURCE, DESTINATION):
            ledger.put_host(Host(name=host, address="127.0.0.1"))
            role = Role.PRIMARY if host == SOURCE else Role.SHADOW
            ledger.put_instance(
                Instance(resource="checkout", host=host, role=role, mode=Mode.HOT,
                         state=RunState.RUNNING, address="127.0.0.1", port=8080)
            )  # fmt: skip
        modules = Modules(ledger=url)
        modules.witness = lambda: copy.deepcopy((world.fake.zone.records, world.fake.pools.pools))
        yield world, modules


@pytest.mark.parametrize("kind", [DnsWorld, LbWorld], ids=["dns", "lb"])
def test_check_and_diff_are_exact_and_a_second_run_changes_nothing(
    kind: type[CloudflareWorld], tmp_path: Path
) -> None:
    with registered(kind, tmp_path) as (world, modules):
        wanted = {DESTINATION: 100}
        names = [endpoint.name for endpoint in world.director().read()]
        done = modules.thrice("traffic_switch", resource="checkout", weights=wanted)
        assert done["diff"] == {
            "before": {"weights": {name: {SOURCE: 100} for name in names}},
            "after": {"weights": dict.fromkeys(names, wanted)},
        }
        assert done["converged"]
        assert world.served_by() == {DESTINATION}

        world.fake.calls.clear()
        again = modules.ok("traffic_switch", resource="checkout", weights=wanted)
        assert again["before"] == again["after"] == done["after"]
        paths = [f"{call.method} {call.path.rsplit('/', 1)[-1]}" for call in world.fake.calls]
        if kind is DnsWorld:
            assert paths == ["GET dns_records"], "an unchanged record costs one list call"
        else:
            assert len(paths) == 4, "a pool costs one look at it and one at its health"
        kept = (tmp_path / "ledger.db").read_bytes()
        assert TOKEN not in f"{done} {again} {kept!r}"


def test_what_cloudflare_refuses_is_one_line_of_the_module(tmp_path: Path) -> None:
    with registered(DnsWorld, tmp_path) as (world, modules):
        shared = {SOURCE: 50, DESTINATION: 50}
        failed = modules.run("traffic_switch", resource="checkout", weights=shared)
        assert failed["failed"]
        assert "cannot share traffic" in failed["msg"]
        world.fake.scopes = {TOKEN: set()}
        failed = modules.run("traffic_switch", resource="checkout", weights={DESTINATION: 100})
        assert failed["failure"]["code"] == "access"
        assert "Zone > DNS > Edit" in failed["msg"]
        assert world.served_by() == {SOURCE}
