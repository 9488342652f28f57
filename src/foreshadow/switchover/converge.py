"""The clock of a handover whose answers others keep: who has followed, and when all can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import DirectorError
from foreshadow.domain.moves import Convergence
from foreshadow.domain.protocols import Answer, Director
from foreshadow.domain.units import format_duration
from foreshadow.switchover.before import watch
from foreshadow.switchover.caches import caching, kept_for
from foreshadow.switchover.stage import Stage
from foreshadow.switchover.step import Undoable
from foreshadow.switchover.view import serves

SOON = 0.2
"""Seconds between two looks at who has followed, while somebody may do so at any moment."""

LATER = 0.8
"""The same while whoever is late may keep its answer for longer: a resolver may forget it all the
same, and the record is to have the moment within a second."""

NEAR = 2.0
"""Seconds before the end of an answer's TTL from which on its resolver may follow: it counts whole
ones."""

PROBE_EVERY = 2.0
"""Seconds between two questions to the destination's service: traffic comes to it all the while."""

RARELY = 10.0
"""Seconds at most between two looks at the directors, once all have followed."""

CLOSER = 0.1
"""The share of what is left to wait after which they are looked at again: ever more often towards
the end, because an API counts its calls."""


class HandoverClock:
    """Watches every server and resolver follow, and tells when nobody can have the old address."""

    def __init__(
        self, directors: Sequence[Director], source: str, destination: str, now: WallClock
    ) -> None:
        self._directors = caching(directors)
        self._source = source
        self._destination = destination
        self._now = now
        self._rows: dict[tuple[str, str], Convergence] = {}
        self._kept: dict[tuple[str, str], WallTime] = {}
        self._until = WallTime(0.0)

    @property
    def left(self) -> float:
        """Return for how many seconds an answer of before may be kept, as of the last look."""
        return self._until - self._now()

    @property
    def rows(self) -> tuple[Convergence, ...]:
        """Return what is known of each server and resolver."""
        return tuple(self._rows.values())

    def look(self) -> None:
        """Ask all of them once."""
        self._until = WallTime(0.0)
        for director in self._directors:
            until = director.cached_until(self._source)
            self._until = max(self._until, until)
            for answer in director.answers():
                key = (director.name, answer.server)
                fresh = Convergence(*key, answer.authoritative, None)
                self._rows[key] = self._told(self._rows.get(key, fresh), answer, until)
                lasts = 0.0 if answer.authoritative or answer.problem else answer.ttl
                self._kept[key] = WallTime(self._now() + lasts)

    def over(self) -> bool:
        """Ask whether all have followed, and no answer of before can be kept any more.

        A resolver that does not answer is not waited for: what it knew has run out by then.

        :raises UnreachableError: when an authoritative server does not answer.
        """
        drained = (director.drained(self._source) for director in self._directors)
        return not self.late() and all(drained)

    def late(self) -> tuple[str, ...]:
        """Return the servers and resolvers that still answer with something else."""
        return tuple(row.server for row in self.rows if _is_late(row))

    def pause(self) -> float:
        """Return the seconds from one look at them to the next."""
        late = [self._kept[key] for key, row in self._rows.items() if _is_late(row)]
        if late:
            return SOON if min(late) - self._now() <= NEAR else LATER
        return min(max(self.left, SOON), self.spacing())

    def spacing(self) -> float:
        """Return the seconds that may lie between two looks at the directors."""
        return min(max(self.left * CLOSER, PROBE_EVERY), RARELY)

    def overstayers(self) -> tuple[str, ...]:
        """Return, with the time, the resolvers that kept an answer for longer than its TTL."""
        return tuple(
            f"resolver {row.server} kept the old answer for {format_duration(row.overstayed)} "
            "longer than its TTL"
            for row in self.rows
            if row.overstayed > 0
        )

    def _told(self, known: Convergence, answer: Answer, until: WallTime) -> Convergence:
        if answer.problem:
            return replace(known, problem=answer.problem)
        ttl = max(known.ttl, answer.ttl)
        if answer.hosts == (self._destination,):
            at = answer.since if known.converged_at is None else known.converged_at
            return replace(known, converged_at=at, ttl=ttl, problem="")
        over = 0.0 if answer.authoritative else max(known.overstayed, self._now() - until)
        return replace(
            known, converged_at=None, ttl=ttl, problem="", overstayed=round(max(0.0, over), 3)
        )


class Vigil:
    """Looks after the destination while everybody follows.

    Its service is asked every few seconds, which costs nobody anything; the directors rarely.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._monotonic = stage.pace.clock.monotonic
        self._probed = self._watched = self._monotonic()

    def wait_until(self, moment: float, spacing: float) -> None:
        """Wait until a moment of the monotonic clock, and look whenever it is due.

        :param spacing: seconds that may lie between two looks at the directors.
        :raises ServiceError: when the destination does not pass its probes.
        :raises DirectorError: when a director does not see it well, or shows something else.
        """
        while True:
            now = self._monotonic()
            if now - self._watched >= spacing:
                self._watch()
            elif now >= self._probed + PROBE_EVERY:  # the same sum as below: it may be rounded
                self._probe()
            if (left := moment - self._monotonic()) <= 0:
                return
            due = self._probed + PROBE_EVERY - self._monotonic()
            self._stage.pace.sleep(min(left, max(due, 0.0)))

    def _watch(self) -> None:
        watch(self._stage, 100)
        self._probed = self._watched = self._monotonic()

    def _probe(self) -> None:
        stage = self._stage
        if serves(stage.at(stage.destination), stage.resource):
            self._probed = self._monotonic()
        else:
            self._watch()


class Converge(Undoable):
    """Waits until nobody can have the source's address any more, and notes who followed when.

    Names are kept by resolvers and clients for their TTL: until it has run out the source serves,
    as every client that honours it may still come.
    """

    name = "converge"

    def do(self, stage: Stage) -> str:
        """Look again and again until all have followed, and the largest TTL has run out.

        :raises DirectorError: when one does not within ``drain.timeout`` after that, named. A
            failover goes on without it: there is nobody to go back to.
        """
        directors, now = stage.ports.directors, stage.pace.clock.now
        monotonic = stage.pace.clock.monotonic
        clock, vigil = HandoverClock(directors, stage.source, stage.destination, now), Vigil(stage)
        kept = max(0.0, kept_for(directors, stage.source, now()))
        end = monotonic() + kept + stage.spec.service.drain.timeout
        while True:
            began = monotonic()
            clock.look()
            self.convergence = clock.rows
            if not clock.late() and clock.left <= 0 and clock.over():
                return "; ".join((f"followed by {len(clock.rows)}", *clock.overstayers()))
            if monotonic() > end:
                return self._late(stage, clock)
            vigil.wait_until(began + clock.pause(), clock.spacing())

    def _late(self, stage: Stage, clock: HandoverClock) -> str:
        late = ", ".join(clock.late()) or "clients of a resolver that overstayed"
        said = "; ".join((f"not followed by {late}", *clock.overstayers()))
        if stage.plan.failover:
            return said
        raise DirectorError(
            said,
            where=f"resource {stage.resource}",
            remedy="leave out a resolver that nobody uses, or raise service.drain.timeout",
        )


def _is_late(row: Convergence) -> bool:
    return row.converged_at is None and (row.authoritative or not row.problem)
