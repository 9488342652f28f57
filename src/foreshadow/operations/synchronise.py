"""State sync by hand: a round now, or the background schedule.

A round is not a move: it uses the newest fencing token of the resource, and takes no lease.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from contextlib import suppress
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.errors import (
    ForeshadowError,
    RefusedError,
    SpecError,
    UnknownNameError,
)
from foreshadow.operations.context import Context
from foreshadow.operations.sync_calls import SyncCalls, error_in
from foreshadow.wire.gen import sync_pb2 as pb

STATES = ("once", "scheduled", "stopped")

_MOVES = 3
"""How often whom to follow is told anew, when the primary was moved while it was told."""


def sync_state(
    context: Context, resource: str, hosts: Sequence[str] | None = None, state: str = "once"
) -> Change:
    """Bring the state of shadows up to date once, on the interval of the spec, or no longer.

    :param hosts: of shadows; ``None``: all shadows of the resource.
    :return: ``bytes_sent`` to all hosts together, ``files_changed`` on the host with the most,
        ``version`` that all have, ``staleness_seconds`` of the host furthest behind (``None``
        before its first round), ``results`` with the same for each host, and ``notes`` on what
        was left out of the state.
    :raises UnknownNameError: when the resource, or a shadow of it on a host, is not known.
    :raises RefusedError: on applying, when the primary was moved to another host meanwhile.
    :raises ForeshadowError: when a round fails; rounds to other hosts are made all the same.
    """
    if state not in STATES:
        raise SpecError(f"{state!r} is not known", where="state", remedy=f"use {_or(STATES)}")
    spec = context.ledger.resource(resource)
    wanted = _shadows(context, resource, hosts)
    source = context.ledger.primary(resource)
    calls = SyncCalls(context, resource, source)
    sync = _Sync(context, calls, resource, source, wanted)
    match state:
        case "once":
            return sync.once()
        case "scheduled":
            return sync.scheduled(spec.sync.interval)
        case _:
            return sync.scheduled(0.0)


class _Sync:
    """The change of one call of :func:`sync_state`."""

    def __init__(
        self,
        context: Context,
        calls: SyncCalls,
        resource: str,
        source: str,
        hosts: tuple[str, ...],
    ) -> None:
        self._context = context
        self._calls = calls
        self._resource = resource
        self._source = source
        self._hosts = hosts

    def once(self) -> Change:
        """Ask what a round would change; make it when applied, also when that is nothing."""
        if not self._hosts:
            return Change({}, {}, self._told((), ()))
        token = self._calls.newest_token()
        lost = self._lost()
        # Who follows nobody yet can still be asked.
        astray = {host: source for host, source in lost.items() if source}
        right = [host for host in self._hosts if host not in astray]
        asked = self._calls.round(right, token, dry_run=True)
        if not astray and not any(result.ok for result in asked.results):
            self._raise_first(asked.results)
        before: dict[str, dict[str, Any]] = {
            result.host: {"version": result.version} for result in asked.results
        }
        changing = [result for result in asked.results if result.changed]
        after = before | {
            result.host: {"version": result.offered_version, "files_changed": result.files_changed}
            for result in changing
        }
        before |= {host: {"follows": followed} for host, followed in astray.items()}
        after |= {host: {"follows": self._source} for host in astray}
        preview = self._told(asked.results, asked.notes)

        def make() -> dict[str, Any]:
            self._tell(lost, token)  # why one could not be told, its round tells
            made = self._calls.round(self._hosts, token)
            self._acknowledge(made.results)
            self._raise_first(made.results)
            return self._told(made.results, made.notes)

        return Change(before, after, preview, make, upkeep=make)

    def scheduled(self, interval: float) -> Change:
        """Compare the schedule with what it shall be; keep the ledger up to date either way."""
        status = self._calls.status()
        lost = self._lost() if interval else {}
        before = _schedule(status, lost)
        after: dict[str, Any] = {"scheduled": False}
        if interval and self._hosts:
            after = {"scheduled": True, "interval": interval, "hosts": sorted(self._hosts)}

        def keep(seen: pb.SyncStatusReply = status) -> dict[str, Any]:
            mine = [result for result in seen.results if result.host in self._hosts]
            self._acknowledge(mine)
            return self._told(mine, seen.notes)

        def change() -> dict[str, Any]:
            token = self._calls.newest_token()
            every = interval if self._hosts else 0.0
            # First, for only the agent of a primary takes it: nobody is told to follow another.
            seen = self._calls.schedule(self._hosts, every, token)
            try:
                self._tell(lost, token)  # the next run finds who could not be told
            except RefusedError:
                with suppress(ForeshadowError):
                    self._calls.schedule((), 0.0, token)
                raise
            return keep(seen)

        mine = [result for result in status.results if result.host in self._hosts]
        return Change(before, after, self._told(mine, status.notes), change, upkeep=keep)

    def _lost(self) -> dict[str, str]:
        """Return the hosts that answer and do not follow the primary, and whom they follow."""
        followed = self._calls.sources(self._hosts)
        return {host: source for host, source in followed.items() if source != self._source}

    def _tell(self, lost: Collection[str], token: int) -> None:
        """Let hosts follow the primary, and leave none of them bound to a former one.

        No lease keeps the primary where it was read. A move tells whom to follow after its commit,
        under a token that may be this one: what was told later than that is told anew.

        :raises RefusedError: when the primary has been moved.
        """
        if not lost:
            return
        calls, followed = self._calls, self._source
        for _ in range(_MOVES):
            calls.follow([host for host in lost if host != followed], token)
            primary = self._context.ledger.primary(self._resource)
            if primary == followed:
                break
            calls, followed = SyncCalls(self._context, self._resource, primary), primary
        if followed != self._source:
            raise RefusedError(
                f"its primary was moved from {self._source} to {followed} meanwhile",
                where=f"state of resource {self._resource}",
                remedy="run it again",
            )

    def _acknowledge(self, results: Iterable[pb.SyncResult]) -> None:
        for result in results:
            acknowledged = self._calls.acknowledged(result)
            if acknowledged is not None:
                self._context.ledger.acknowledge(acknowledged)

    def _raise_first(self, results: Iterable[pb.SyncResult]) -> None:
        errors = [error for error in map(error_in, results) if error is not None]
        if errors:
            more = f" (and {len(errors) - 1} more hosts failed)" if len(errors) > 1 else ""
            raise type(errors[0])(
                f"{errors[0].problem}{more}", where=f"state of resource {self._resource}"
            )

    def _told(self, results: Iterable[pb.SyncResult], notes: Iterable[str]) -> dict[str, Any]:
        rows = [self._row(result) for result in sorted(results, key=lambda result: result.host)]
        ages = [row["staleness_seconds"] for row in rows]
        return {
            "bytes_sent": sum(row["bytes_sent"] for row in rows),
            "files_changed": max((row["files_changed"] for row in rows), default=0),
            "version": min((row["version"] for row in rows), default=0),
            "staleness_seconds": None if None in ages else max(ages, default=None),
            "results": rows,
            "notes": list(notes),
        }

    def _row(self, result: pb.SyncResult) -> dict[str, Any]:
        known = self._calls.acknowledged(result)
        age = None if known is None else self._context.now() - known.captured_at
        return {
            "host": result.host,
            "bytes_sent": result.bytes_sent,
            "files_changed": result.files_changed,
            "profile_changed": result.profile_changed,
            "version": result.version,
            "staleness_seconds": None if age is None else round(max(age, 0.0), 3),
            "error": result.error or None,
        }


def _shadows(context: Context, resource: str, hosts: Sequence[str] | None) -> tuple[str, ...]:
    primary = context.ledger.primary(resource)
    there = sorted(i.host for i in context.ledger.instances(resource) if i.host != primary)
    if hosts is None:
        return tuple(there)
    for host in hosts:
        if host not in there:
            raise UnknownNameError(
                f"has no shadow on host {host}",
                where=f"resource {resource}",
                remedy=f"its shadows are on {_or(there)}" if there else "it has none yet",
            )
    return tuple(sorted(set(hosts)))


def _schedule(status: pb.SyncStatusReply, lost: Container[str]) -> dict[str, Any]:
    """Return the schedule as it works: a host that does not follow the primary takes nothing."""
    if not status.scheduled:
        return {"scheduled": False}
    names = (target.peer.host for target in status.targets)
    hosts = sorted(name for name in names if name not in lost)
    return {"scheduled": True, "interval": status.interval, "hosts": hosts}


def _or(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + (" or " if names[:-1] else "") + names[-1]
