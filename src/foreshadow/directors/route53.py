"""Weighted records of Route 53 as a director: one record for each host, and it owns the weights.

Each change is one transaction that replaces just what was read, so that two actors never mix, and
nobody sees all weights at zero, which would mean an equal split. Clients keep what they were told
for its TTL: a host that has lost its traffic is drained when nobody can have its address any more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from foreshadow.cloud.aws import Aws
from foreshadow.directors.lazily import Lazily
from foreshadow.directors.route53_checks import problem_of
from foreshadow.directors.route53_claim import Memory
from foreshadow.directors.route53_options import parse_options
from foreshadow.directors.route53_zone import Record, RecordSet, Zone, changed_meanwhile
from foreshadow.directors.weights import checked_weights, shown
from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import DirectorError, ForeshadowError, RefusedError
from foreshadow.domain.near import unknown
from foreshadow.domain.protocols import Answer, Endpoint
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import format_duration
from foreshadow.wire.clock import system_time

_SERVER = "Route 53"
_SPARE_SECONDS = 1.0
"""A cache may round a TTL up."""

Edit = Callable[[RecordSet, Memory], tuple[dict[str, Record], Memory]]


class Route53Director:
    """Sends a resource's traffic by the weights of its records.

    :param resource: whose traffic it is; fencing tokens count per resource.
    :raises SpecError: when the options of the director are malformed.
    """

    def __init__(
        self,
        spec: DirectorSpec,
        resource: str,
        access: object,
        *,
        now: WallClock = system_time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        del access  # what a record leads to stands in the record
        self._options = parse_options(spec, resource)
        self._where = f"resource {resource}, {self.name}"
        self._aws = Aws(self._options.shared(), self._where, sleep=sleep)
        self._zone = Zone(
            self._aws, self._options, spec, resource, self._where, monotonic=monotonic, sleep=sleep
        )
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._kept: dict[str, WallTime] = {}
        self._seen: tuple[float, RecordSet] | None = None

    @property
    def name(self) -> str:
        """Return what the director answers about."""
        return f"{self._options.type} record {self._options.record.rstrip('.')}"

    def read(self) -> tuple[Endpoint, ...]:
        """Return where answers lead now; health is asked for when somebody looks at it."""
        seen = self._zone.read()
        idle = not any(seen.told().values())
        return (
            Endpoint(
                name=f"{_SERVER} {self._options.record.rstrip('.')}",
                weights=seen.weights(),
                checked=self._checked(seen),
                in_flight={},
                drift="all weights are zero, which means an equal split" if idle else "",
            ),
        )

    def admit(self, host: str, since: WallTime, token: int) -> None:
        """Wait until a host passes a check, and write down that it may take traffic.

        A host that has traffic is left alone.

        :raises UnknownNameError: when it has no record.
        :raises DirectorError: when it passes no check in time, with what was last seen.
        """
        seen = self._zone.read()
        record = self._required(seen, host)
        seen.memory.refuse_older(token, self._where)
        if seen.told()[host]:
            return
        deadline = self._monotonic() + self._options.admit_timeout
        while problem := self._problem(record, since):
            if self._monotonic() > deadline:
                raise DirectorError(
                    f"{host} passed no check within "
                    f"{format_duration(self._options.admit_timeout)}: {problem}",
                    where=self._where,
                    remedy="see that the service answers, and that check names its port and path",
                )
            self._sleep(self._options.poll)
        self._edit(token, lambda _, memory: ({}, replace(memory, ready=memory.ready | {host})))

    def apply(self, weights: Mapping[str, int], token: int) -> None:
        """Send traffic by percentages, and wait until every server of Route 53 shows them.

        :raises UnreachableError: when AWS did not answer; it says so when the state is unknown.
        :raises DirectorError: when nothing was changed because a host is not admitted, or somebody
            else keeps changing the records; or when not every server follows in time.
        """
        wanted = checked_weights(weights)

        def edit(seen: RecordSet, memory: Memory) -> tuple[dict[str, Record], Memory]:
            for host in wanted:
                self._required(seen, host)
            self._refuse_unready(seen, wanted)
            return self._reweighted(seen, memory, wanted)

        before = self._zone.read()
        if before.weights() == wanted and any(before.told().values()):
            before.memory.refuse_older(token, self._where)
            return
        after = self._edit(token, edit, before)
        gone = (host for host, weight in before.told().items() if weight and host not in wanted)
        until = max(self._now() + after.ttl() + _SPARE_SECONDS, after.memory.stale)
        self._kept = {host: at for host, at in self._kept.items() if host not in wanted}
        self._kept |= dict.fromkeys(gone, WallTime(until))

    def converged(self, weights: Mapping[str, int]) -> bool:
        """Return whether the records show these weights."""
        wanted = checked_weights(weights)
        return self._zone.read().weights() == wanted

    def drained(self, host: str) -> bool:
        """Return whether nobody can have the host's address, from an answer or a cache, any more.

        Requests that are open at it are known to the service alone.
        """
        if self._now() < self._kept.get(host, 0.0):
            return False  # known without asking
        seen = self._lately()
        if self._required(seen, host)["Weight"]:
            return False
        until = self._until(seen, host)
        if self._now() < until:
            self._kept[host] = until
            return False
        return True

    def retire(self, host: str, token: int) -> None:
        """Write down that a host without traffic may not be sent any before it is admitted.

        :raises DirectorError: when it has traffic; nothing was changed then.
        """

        def edit(seen: RecordSet, memory: Memory) -> tuple[dict[str, Record], Memory]:
            self._required(seen, host)
            if seen.told()[host]:
                raise DirectorError(
                    f"{host} still has traffic",
                    where=self._where,
                    remedy="send its traffic elsewhere first",
                )
            return {}, replace(memory, ready=memory.ready - {host})

        self._edit(token, edit)

    def persist(self) -> None:
        """Do nothing: what AWS was told, it keeps."""

    def shares(self) -> bool:
        """Return that it can split traffic by percentages."""
        return True

    def answers(self) -> tuple[Answer, ...]:
        """Return what Route 53 answers, once a change is in sync; for all of its servers as one."""
        now = self._now()
        try:
            seen = self._lately()
        except ForeshadowError as error:
            return (Answer(_SERVER, True, (), 0.0, now, error.problem),)
        since = seen.memory.moved or now
        return (Answer(_SERVER, True, tuple(sorted(seen.weights())), seen.ttl(), since),)

    def cached_until(self, host: str) -> WallTime:
        """Return until when a host's address may be kept after it left the answers."""
        seen = self._lately()
        if self._required(seen, host)["Weight"]:
            return WallTime(max(self._now() + seen.ttl() + _SPARE_SECONDS, seen.memory.stale))
        return self._until(seen, host)

    def ttl(self) -> float:
        """Return the largest TTL of the records, in seconds."""
        return self._zone.read().ttl()

    def set_ttl(self, seconds: float, token: int) -> None:
        """Give the records this TTL and nothing else; return when every server shows it.

        :raises DirectorError: when a record is an alias: its TTL is that of what it stands for.
        """
        wanted = max(1, round(seconds))

        def edit(seen: RecordSet, memory: Memory) -> tuple[dict[str, Record], Memory]:
            aliases = [host for host, record in seen.records.items() if "AliasTarget" in record]
            if aliases:
                raise DirectorError(
                    f"the record of {aliases[0]} is an alias, whose TTL cannot be set",
                    where=self._where,
                    remedy="leave armed_ttl out",
                )
            others = {h: r for h, r in seen.records.items() if r["TTL"] != wanted}
            lower = any(record["TTL"] > wanted for record in others.values())
            stale = max(memory.stale, self._keeps(seen.ttl())) if lower else memory.stale
            return {h: {**r, "TTL": wanted} for h, r in others.items()}, replace(
                memory, stale=WallTime(stale)
            )

        self._edit(token, edit)

    def armed_ttl(self) -> float | None:
        """Return the TTL for when a move is ahead; ``None``: leave it as it is."""
        return self._options.armed_ttl

    def _lately(self) -> RecordSet:
        """Return what was seen a moment ago, or look again: who waits looks often.

        Route 53 takes five requests a second of a whole account.
        """
        now = self._monotonic()
        if self._seen is None or now >= self._seen[0] + self._options.poll:
            self._seen = (now, self._zone.read())
        return self._seen[1]

    def _edit(self, token: int, edit: Edit, seen: RecordSet | None = None) -> RecordSet:
        """Change what was read, or what somebody made of it meanwhile, unless he is newer."""
        self._seen = None
        for last in (False, True):
            seen = seen or self._zone.read()
            seen.memory.refuse_older(token, self._where)
            records, memory = edit(seen, seen.memory.claimed_by(token, seen.told()))
            if not records and memory == seen.memory:
                return seen
            try:
                return self._zone.change(seen, records, memory)
            except RefusedError as error:
                if not changed_meanwhile(error):
                    raise
                if last:
                    raise DirectorError(
                        "somebody else changes the records at the same time",
                        where=self._where,
                        remedy="look who it is; nothing was changed here",
                    ) from None
            seen = None
        raise AssertionError("the last attempt returns or raises")

    def _reweighted(
        self, seen: RecordSet, memory: Memory, wanted: Mapping[str, int]
    ) -> tuple[dict[str, Record], Memory]:
        told = seen.told()
        changed = {
            host: {**record, "Weight": wanted.get(host, 0)}
            for host, record in seen.records.items()
            if told[host] != wanted.get(host, 0)
        }
        until = max(self._keeps(seen.ttl()), memory.stale)
        gone = {host for host, weight in told.items() if weight and host not in wanted}
        kept = {host: at for host, at in memory.kept.items() if host not in wanted}
        return changed, replace(
            memory,
            ready=memory.ready | gone | set(wanted),
            kept={**kept, **dict.fromkeys(gone, WallTime(until))},
            moved=WallTime(math.ceil(self._now())),
        )

    def _refuse_unready(self, seen: RecordSet, wanted: Mapping[str, int]) -> None:
        """Refuse to send traffic to a host that was not admitted."""
        told = seen.told()
        for host in wanted:
            if not told[host] and host not in seen.memory.ready:
                raise DirectorError(
                    f"{host} cannot take traffic: it has not been admitted",
                    where=self._where,
                    remedy=f"admit it first; now traffic goes to {shown(seen.weights())}",
                )

    def _keeps(self, ttl: float) -> WallTime:
        """Return until when an answer with a TTL may be kept that is replaced just now."""
        at = self._now() + self._options.propagation + ttl + _SPARE_SECONDS
        return WallTime(math.ceil(at))

    def _until(self, seen: RecordSet, host: str) -> WallTime:
        """Return until when the address of a host without traffic may be kept."""
        return self._kept.get(host, seen.memory.kept.get(host, WallTime(0.0)))

    def _checked(self, seen: RecordSet) -> Mapping[str, WallTime]:
        ready = {host for host, weight in seen.told().items() if weight} | seen.memory.ready
        long_ago = WallTime(0.0)

        def checked(host: str) -> WallTime | None:
            return None if self._problem(seen.records[host], long_ago) else self._now()

        return Lazily([host for host in seen.records if host in ready], checked)

    def _problem(self, record: Record, since: WallTime) -> str:
        name = self._options.record.rstrip(".")
        return problem_of(self._aws, record, self._options.check, name, since)

    def _required(self, seen: RecordSet, host: str) -> Record:
        if host not in seen.records:
            raise unknown("host", host, seen.records, where=self._where)
        return seen.records[host]
