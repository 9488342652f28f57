"""What every use case needs: the ledger, the way to agents, the drivers, and the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.clock import MetricClock, WallTime
from foreshadow.domain.drivers import DIRECTORS, INSTANCES, METRICS, load_driver
from foreshadow.domain.errors import AccessError, LedgerError, SpecError
from foreshadow.domain.protocols import Director, InstanceDriver, MetricSource
from foreshadow.domain.spec import ResourceSpec, SourceSpec
from foreshadow.ledger import Ledger
from foreshadow.switchover.keeper import TTL as LEASE_SECONDS
from foreshadow.wire.access import Access
from foreshadow.wire.clock import system_time
from foreshadow.wire.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection options that every module and plugin takes.

    :ivar timeout: seconds that one call to an agent may take.
    """

    ledger: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    timeout: float = 10.0

    def credentials(self) -> Credentials | None:
        """Return the files of the mutual TLS, or ``None`` when none of them is named.

        :raises AccessError: when only some are named, or one cannot be read.
        """
        named = {"ca": self.ca, "cert": self.cert, "key": self.key}
        if not any(named.values()):
            return None
        paths: dict[str, Path] = {}
        for option, value in named.items():
            if not value:
                raise AccessError(
                    "is not set although the others are",
                    where=f"connection option {option}",
                    remedy=f"set it, or the environment variable FORESHADOW_{option.upper()}",
                )
            paths[option] = Path(value).expanduser()
            if not paths[option].is_file():
                raise AccessError(
                    f"there is no file {value}",
                    where=f"connection option {option}",
                    remedy="issue certificates with foreshadow pki",
                )
        return Credentials(**paths)


class Context:
    """One open ledger and the connections to the agents, for as long as a use case runs.

    :param lease_seconds: for which the lease of a move holds without being renewed.
    """

    def __init__(
        self,
        ledger: Ledger,
        access: Access,
        now: Callable[[], WallTime],
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.ledger = ledger
        self.access = access
        self.now = now
        self.lease_seconds = lease_seconds

    def driver(self, host_name: str) -> InstanceDriver:
        """Return the instance driver of a host."""
        host = self.ledger.host(host_name)
        driver: InstanceDriver = load_driver(INSTANCES, host.driver)(host, self.access)
        return driver

    def directors(self, spec: ResourceSpec) -> tuple[Director, ...]:
        """Return the directors of a resource, in the order of its spec."""
        return tuple(
            load_driver(DIRECTORS, director.kind)(director, spec.name, self.access)
            for director in spec.directors
        )

    def source(self, source: SourceSpec, clock: MetricClock) -> MetricSource:
        """Return a metric source."""
        made: MetricSource = load_driver(METRICS, source.kind)(source.options(), clock, self.access)
        return made


@contextmanager
def open_context(
    connection: Connection, now: Callable[[], WallTime] = system_time
) -> Iterator[Context]:
    """Open the ledger and the way to the agents; close both at the end.

    :raises LedgerError: when no ledger is named, or it cannot be opened.
    :raises SpecError: when the timeout is no time.
    """
    if not connection.ledger:
        raise LedgerError(
            "no ledger is named",
            where="connection option ledger",
            remedy="set it, or FORESHADOW_LEDGER, to such as sqlite:////var/lib/foreshadow/ledger.db",
        )
    if not (math.isfinite(connection.timeout) and connection.timeout > 0):
        raise SpecError(
            f"no call can be answered within {connection.timeout:g} seconds",
            where="connection option timeout",
            remedy="give a number of seconds above 0, such as 10",
        )
    with Ledger.open(connection.ledger, now) as ledger:
        access = Access(ledger.host, connection.credentials(), connection.timeout, ledger.hosts)
        try:
            yield Context(ledger, access, now)
        finally:
            access.close()
