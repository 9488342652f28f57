"""Pointing a name at a host by hand: what check mode shows is what is done, and once is enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.domain.fleet import Host, Instance, Role, RunState
from foreshadow.domain.protocols import Director
from foreshadow.domain.spec import Mode, ResourceSpec, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.traffic import point_traffic
from foreshadow.testing.directors import DESTINATION, SOURCE
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time
from tests.support.dns_world import RESOURCE, DnsWorld, running_dns


class Named(Context):
    """A context whose one director is on the servers of a world."""

    world: DnsWorld

    def directors(self, spec: ResourceSpec) -> tuple[Director, ...]:
        made = Rfc2136Director(spec.directors[0], spec.name, self.access, now=self.world.now)
        return (cast("Director", made),)


@pytest.fixture
def named(tmp_path: Path) -> Iterator[Named]:
    with (
        running_dns(tmp_path) as world,
        Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger,
    ):
        context = Named(ledger, Access(ledger.host, None, 1.0, ledger.hosts), system_time)
        context.world = world
        spec = parse_resource(
            {
                "name": RESOURCE,
                "primary": SOURCE,
                "service": {"command": ["serve"], "port": world.wells.port},
                "directors": [world.spec().model_dump()],
            }
        )
        for host, address in world.wells.addresses.items():
            ledger.put_host(Host(name=host, address=address))
        ledger.put_resource(spec)
        for host, role in ((SOURCE, Role.PRIMARY), (DESTINATION, Role.SHADOW)):
            ledger.put_instance(
                Instance(
                    resource=RESOURCE, host=host, role=role, mode=Mode.HOT,
                    state=RunState.RUNNING, address="127.0.0.1", port=80,
                )
            )  # fmt: skip
        yield context


def test_check_mode_shows_what_is_done_and_a_second_run_does_nothing(named: Named) -> None:
    zone, everything = named.world.zone, {DESTINATION: 100}
    before = zone.copy()
    change = point_traffic(named, RESOURCE, everything)
    assert change.changed
    assert zone.copy() == before  # looking changes nothing
    done = change.apply()
    assert done["after"] == change.preview["after"]
    assert done["converged"]
    updates = zone.updates
    again = point_traffic(named, RESOURCE, everything)
    assert not again.changed
    again.apply()
    assert zone.updates == updates


def test_no_secret_is_in_what_is_shown_or_stored(named: Named) -> None:
    secret = named.world.key_file.read_text().split('"')[-2]
    change = point_traffic(named, RESOURCE, {DESTINATION: 100})
    shown = repr((change.before, change.after, change.preview, change.apply()))
    stored = repr(named.ledger.resource(RESOURCE).plain())
    assert secret not in shown + stored
    assert str(named.world.key_file) in stored
