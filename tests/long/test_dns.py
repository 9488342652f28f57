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
from foreshadow.domain.spec import DirectorSpec
from foreshadow.testing.directors import DESTINATION, LONG_AGO, SOURCE, CachingConformance
from tests.support.agents import loopback
from tests.support.dns_daemons import KINDS, Daemons, missing, running_daemons
from tests.support.dns_race import race
from tests.support.dns_trial import trial
from tests.support.dns_world import KEY, NAME, RESOURCE, ZONE
from tests.support.haproxy import free_port, wait_until
from tests.support.wells import Wells, listening

TTL = 60


@pytest.fixture(scope="module", params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    if lacking := missing(request.param):
        pytest.skip(f"not installed: {lacking}")
    return str(request.param)


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
    for turn in range(20):
        result = race([running.director(f"actor-{i}") for i in range(16)], turn)
        assert len(result.winners) == 1, result.told
        assert all(f"actor-{result.winners[0]} " in said for said in result.told), result.told


@pytest.mark.timeout(360)
def test_twenty_switchovers_by_name_lose_no_request(kind: str, tmp_path: Path) -> None:
    result = trial(tmp_path, kind, moves=20, rate=300.0)
    assert result.seen.errors == []
    assert result.rate > 0.95 * 300
    assert result.by_deactivated == 0
    assert max(result.apart) <= 1.0
    assert max(result.seconds) <= result.ttl + 5.0
