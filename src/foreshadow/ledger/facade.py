"""The ledger as the other rooms see it: one object over the stores."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from foreshadow.domain.clock import WallClock
from foreshadow.domain.decision import Decision
from foreshadow.ledger.control import Controls
from foreshadow.ledger.database import Database
from foreshadow.ledger.decisions import Decisions
from foreshadow.ledger.instances import Instances
from foreshadow.ledger.journal import Journal
from foreshadow.ledger.learning import Learning
from foreshadow.ledger.leases import Leases
from foreshadow.ledger.migrations import bring_up_to_date
from foreshadow.ledger.placements import Placements
from foreshadow.ledger.registry import Registry
from foreshadow.ledger.retention import Retention
from foreshadow.ledger.ttls import Ttls
from foreshadow.wire.clock import system_time


class Ledger(
    Registry,
    Instances,
    Leases,
    Journal,
    Decisions,
    Controls,
    Placements,
    Learning,
    Ttls,
    Retention,
):
    """The durable record. Each subject is a store of its own; all share one database.

    Usable from several threads and from several processes at once. Every method is one
    transaction, and raises :class:`~foreshadow.domain.errors.LedgerError` in one line when the
    database does not let itself be read or written.
    """

    @classmethod
    def open(cls, url: str, now: WallClock = system_time) -> Self:
        """Open a ledger, creating it in an existing folder, or bringing it forward.

        :param url: ``sqlite:////absolute/path`` or ``postgresql+psycopg://user@host/name``.
        :param now: what tells the wall time.
        :raises LedgerError: when it cannot be opened, or is of a newer version.
        """
        database = Database.open(url)
        try:
            bring_up_to_date(database, now())
        except BaseException:
            database.close()
            raise
        return cls(database, now)

    def record_decisions(self, made: Sequence[Decision]) -> frozenset[str]:
        """Write down decisions (:class:`Decisions` says which are kept), and prune once a day.

        What grows with every tick is also kept small by it, so that nobody has to remember to.
        """
        recorded = super().record_decisions(made)
        if recorded:
            self.prune_when_due()
        return recorded

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
