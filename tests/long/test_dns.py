"""The director on standard DNS against real servers, with unbound for the clients.

``apt-get install bind9 knot pdns-server pdns-backend-sqlite3 unbound``; a server that is not there
is skipped by name.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.tsig
import dns.update
import pytest

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.directors.rfc2136_key import read_key
from foreshadow.directors.rfc2136_options import KeyOptions, Server
from foreshadow.domain.clock import WallTime
from foreshadow.domain.moves import Outcome
from foreshadow.domain.spec import DirectorSpec
from foreshadow.operations.switch import SwitchRequest, switch_over
from foreshadow.operations.ttls import Ttls
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE, CachingConformance
from tests.support.agents import loopback
from tests.support.dns_chain import front_addresses, prove, running_chain
from tests.support.dns_clients import DnsClients
from tests.support.dns_daemons import KINDS, Daemons, missing, running_daemons
from tests.support.dns_fleet import HOSTS, addresses_of, running_dns_fleet
from tests.support.dns_race import patient, race
from tests.support.dns_trial import trial
from tests.support.dns_world import KEY, NAME, RESOURCE, ZONE
from tests.support.fleet import NAME as FLEETS
from tests.support.fleet import PORT
from tests.support.haproxy import free_port, wait_until
from tests.support.wells import Wells, listening

TTL = 60


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    if lacking := missing(request.param):
        pytest.skip(f"not installed: {lacking}")
    return str(request.param)


@pytest.fixture
def one_kind() -> str:
    """Return a kind that is there, for what does not depend on it."""
    found = [name for name in sorted(KINDS) if not missing(name)]
    if not found:
        pytest.skip(f"not installed: any of {', '.join(KINDS)} with unbound")
    return found[0]


class RealWorld:
    """The conformance suite's world on real servers; time passes for the directors alone."""

    ttl = float(TTL)

    def __init__(self, daemons: Daemons, wells: Wells) -> None:
        self.daemons = daemons
        self.wells = wells
        self.shift = 0.0

    def director(self, actor: str | None = None, **options: object) -> Rfc2136Director:
        written = {
            "kind": "rfc2136",
            "zone": ZONE,
            "name": NAME,
            "server": str(self.daemons.primary),
            "servers": [str(self.daemons.secondary)],
            "key": {"name": KEY, "file": str(self.daemons.key_file)},
            "check": {"port": self.wells.port, "path": "/healthz", "timeout": "300ms"},
            "targets": dict(self.wells.addresses),
            "timeout": "1s",
            "propagation": "20s",
        }
        spec = DirectorSpec.model_validate({**written, **options})
        return Rfc2136Director(spec, RESOURCE, actor=actor, now=self.now)

    def hasty_director(self) -> Rfc2136Director:
        return self.director(admit_timeout="500ms")

    def now(self) -> WallTime:
        return WallTime(time.time() + self.shift)

    def pass_time(self, seconds: float) -> None:
        self.shift += seconds

    def rest(self) -> None:
        self.shift = 0.0
        options = KeyOptions(name=KEY, file=str(self.daemons.key_file))
        message = dns.update.UpdateMessage(ZONE, keyring=read_key(options, "tests"))
        message.replace(f"{NAME}.", TTL, "A", self.wells.addresses[SOURCE])
        message.delete(f"_foreshadow.{NAME}.", "TXT")
        primary = self.daemons.primary
        assert dns.query.tcp(message, primary.address, 5, primary.port).rcode() == 0
        wanted = ({self.wells.addresses[SOURCE]}, {float(TTL)})
        wait_until(lambda: self._seen(self.daemons.secondary) == wanted, "the secondary", 20.0)

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        with self.wells.frozen(host):
            yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        os.kill(self.daemons.secondary_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.daemons.secondary_pid, signal.SIGCONT)

    @contextmanager
    def request_open(self, host: str) -> Iterator[None]:
        yield

    def served_by(self) -> set[str]:
        found = self._seen(self.daemons.primary)[0] | self._seen(self.daemons.secondary)[0]
        return {host for host, address in self.wells.addresses.items() if address in found}

    def _seen(self, server: Server) -> tuple[set[str], set[float]]:
        query = dns.message.make_query(NAME, "A")
        reply = dns.query.udp(query, server.address, 5, server.port)
        data = {data.to_text() for answer in reply.answer for data in answer}
        return data, {float(answer.ttl) for answer in reply.answer}


@pytest.fixture(scope="module")
def running(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealWorld]:
    with ExitStack() as stack:
        addresses = {host: loopback() for host in (SOURCE, DESTINATION)}
        wells = stack.enter_context(listening(addresses, free_port(addresses[SOURCE])))
        folder = tmp_path_factory.mktemp(kind)
        first = [addresses[SOURCE]]
        yield RealWorld(stack.enter_context(running_daemons(folder, kind, first, TTL)), wells)


class TestRealServers(CachingConformance):
    shares = False
    counts_requests = False

    @pytest.fixture
    def world(self, running: RealWorld) -> RealWorld:
        return running


def test_sixteen_actors_race_for_one_record_and_exactly_one_wins(running: RealWorld) -> None:
    running.rest()
    running.director("set-up").admit(DESTINATION, LONG_AGO, token=1)
    options = patient(running.wells)
    for turn in range(20):
        result = race([running.director(f"actor-{i}", **options) for i in range(16)], turn)
        assert len(result.winners) == 1, result.told
        assert all(f"actor-{result.winners[0]} " in said for said in result.told), result.told


@pytest.mark.timeout(240)
def test_a_pair_of_haproxy_behind_a_record_turns_first_there_and_last_back(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fronts = front_addresses()
    with (
        running_daemons(tmp_path, kind, [fronts[HOSTS[0]]], 3) as daemons,
        running_chain(tmp_path, fronts, daemons.director(), monkeypatch) as chain,
        DnsClients(daemons.resolver, PORT, 40.0, clients=4) as clients,
    ):
        prove(chain, clients)
    assert clients.seen.errors == []
    assert {host for _, host in clients.seen.served} == set(HOSTS)


@pytest.mark.timeout(240)
def test_a_resolver_that_overstays_is_named_and_its_clients_lose_nothing(
    one_kind: str, tmp_path: Path
) -> None:
    addresses, least = addresses_of(), 12
    with (
        running_daemons(tmp_path, one_kind, [addresses[HOSTS[0]]], 3, least_ttl=least) as daemons,
        running_dns_fleet(tmp_path, addresses, daemons.director()) as fleet,
        DnsClients(daemons.resolver, PORT, 40.0, clients=4) as clients,
    ):
        wait_until(lambda: daemons.kept() >= least - 1, "unbound to have asked just now", 30.0)
        switch_over(fleet.context, SwitchRequest(resource=FLEETS, to=HOSTS[1])).apply()
        (move,) = fleet.ledger.switchovers(FLEETS)
    assert clients.seen.errors == []
    assert (move.outcome, move.error) == (Outcome.SWITCHED, None)
    (row,) = [row for row in move.convergence if row.server == str(daemons.resolver)]
    assert 0.0 < row.overstayed < least
    assert [one.overstayed for one in move.convergence if one is not row] == [0.0, 0.0]
    (detail,) = [step.detail for step in move.steps if step.name == "converge"]
    assert f"resolver {daemons.resolver} kept the old answer for" in detail


@pytest.mark.timeout(240)
def test_no_move_is_let_go_while_a_resolver_has_the_ttl_of_before(
    one_kind: str, tmp_path: Path
) -> None:
    addresses = addresses_of()
    director, armed = {"armed_ttl": "2s"}, 2
    with (
        running_daemons(tmp_path, one_kind, [addresses[HOSTS[0]]], 15) as daemons,
        running_dns_fleet(
            tmp_path, addresses, daemons.director() | director, policy={"mode": "automatic"}
        ) as fleet,
    ):
        ttls = Ttls(fleet.context, fleet.spec, acts=True)
        wait_until(lambda: daemons.kept() >= 14, "unbound to have asked just now", 40.0)
        (block,) = ttls.lower(())
        assert "is lowered from 15s to 2s" in block.reason
        assert daemons.kept() > armed
        wait_until(lambda: not ttls.lower(()), "the old TTL to have run out", 60.0)
        assert daemons.kept() <= armed
        switch_over(fleet.context, SwitchRequest(resource=FLEETS, to=HOSTS[1])).apply()
        (move,) = fleet.ledger.switchovers(FLEETS)
        assert (move.outcome, move.error) == (Outcome.SWITCHED, None)
        assert {row.ttl for row in move.convergence if row.authoritative} == {float(armed)}
        assert ttls.restore() == ()
        (named,) = fleet.context.directors(fleet.spec)
        assert isinstance(named, Rfc2136Director)
        assert named.ttl() == 15.0


@pytest.mark.timeout(360)
def test_twenty_switchovers_by_name_lose_no_request(kind: str, tmp_path: Path) -> None:
    result = trial(tmp_path, kind, moves=20, rate=300.0)
    assert result.seen.errors == []
    assert result.rate > 0.95 * 300
    assert result.by_deactivated == 0
    assert max(result.apart) <= 1.0
    assert max(result.seconds) <= result.ttl + 5.0
