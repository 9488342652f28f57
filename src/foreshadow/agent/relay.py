"""The agent's relay to the HAProxy beside it: typed requests in, a few known commands out.

Only the sockets that the agent was started with are spoken to; names are checked against what the
backend has before they become part of a command; a change is refused when a newer fencing token
has been seen, and read back before it is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from foreshadow.agent.hold_periods import HoldPeriods
from foreshadow.agent.holds import (
    holding,
    parse_hold,
    parse_holding,
    parse_setting,
    reading_hold,
    setting,
)
from foreshadow.agent.runtime_api import (
    Backend,
    RuntimeSocket,
    ServerLine,
    finding,
    parse_backend,
    parse_number,
    reading,
)
from foreshadow.agent.server_states import write_states
from foreshadow.domain.clock import WallClock, WallTime
from foreshadow.domain.errors import (
    AccessError,
    DirectorError,
    SpecError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.wire.clock import system_time
from foreshadow.wire.gen import agent_pb2 as pb

STATE_VARIABLE = "FORESHADOW_SERVER_STATE"
"""Set in HAProxy's own configuration (``setenv``) to the file that it reads server states from."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_UP = ("UP", "DRAIN", "no check")
_ADMIN_STATES = ("ready", "drain", "maint")
_HEAVIEST = 256
_SOME_TIME = 1.0
_FIRST_LOOK = 0.001
_LAST_LOOK = 0.02


class Fence(Protocol):
    """What keeps the highest fencing token of each resource."""

    def check(self, resource: str, token: int) -> None:
        """Remember a newer token; refuse an older one.

        :raises FencedError: when a newer token has been seen.
        """
        ...


class Relay:
    """Reads and changes server lines of the HAProxy processes beside this agent.

    :param sockets: their stats sockets; no other is ever opened.
    :param timeout: seconds that HAProxy may take for one answer.
    """

    def __init__(
        self,
        sockets: Sequence[Path],
        fences: Fence,
        *,
        timeout: float = 2.0,
        now: WallClock = system_time,
    ) -> None:
        self._runtimes = {str(path): RuntimeSocket(path, timeout) for path in sockets}
        self._fences = fences
        self._now = now
        self._held: dict[tuple[str, str], Backend] = {}
        self._holds: set[tuple[str, str]] = set()
        self._periods = HoldPeriods()
        self._numbers: dict[tuple[str, str], str] = {}
        self._opened: dict[tuple[str, str, str], tuple[int, WallTime]] = {}

    @property
    def runtimes(self) -> tuple[RuntimeSocket, ...]:
        """Return the HAProxy processes, for whoever keeps to their locks."""
        return tuple(self._runtimes.values())

    async def read(self, query: pb.HaproxyQuery) -> pb.HaproxyReply:
        """Return a backend's server lines.

        :raises UnreachableError: when HAProxy does not answer.
        :raises UnknownNameError: when it has no such backend.
        """
        runtime = self._runtime(query.socket)
        async with runtime.lock:
            return self._reply(query.socket, query.backend, await self._read(runtime, query))

    async def apply(self, request: pb.HaproxyApplyRequest) -> pb.HaproxyReply:
        """Change server lines in the order of the request, and return what shows afterwards.

        Nothing is changed unless HAProxy answers first and has every server that is named. Held
        requests are let go where that is asked for too, once all of it shows.

        :raises FencedError: when a newer fencing token has been seen.
        :raises DirectorError: when HAProxy does not show the change, or its state is unknown.
        """
        runtime = self._runtime(request.socket)
        async with runtime.lock:
            # Of the process that holds requests is known what it shows; another one is told below.
            held = self._held.pop((request.socket, request.backend), None)
            before = held if held and held.pid == request.pid else None
            before = before or await self._read(runtime, request)
            if request.pid not in (0, before.pid):
                raise _reloaded(runtime.where)
            commands = [
                command
                for change in request.changes
                for command in _commands(request.backend, change, before, runtime.where)
            ]
            self._fences.check(request.fence.resource, request.fence.token)
            asked_at = self._now()
            try:
                lines = await runtime.exchange(
                    [*commands, *reading(request.backend, before.number)]
                )
            except UnreachableError as error:
                raise DirectorError(
                    f"{error.problem} after the change was sent: its state is unknown",
                    where=runtime.where,
                    remedy="read it again when it answers, and repeat or undo the change",
                ) from None
            after, complaints = parse_backend(lines, before.number, runtime.where)
            if complaints:
                raise DirectorError(
                    f"refused a change: {complaints[0]}",
                    where=runtime.where,
                    remedy="read what shows, and repeat or undo the change",
                )
            if request.pid not in (0, after.pid):
                raise _reloaded(runtime.where)
            self._remember_opened(request, before, asked_at)
            _verify(request.changes, before, after, runtime.where)
            reply = self._reply(request.socket, request.backend, after)
            if request.release:
                _refuse_down(request.changes, after, runtime.where)
                pid = await self._hold(runtime, request.backend, 0)
                reply.held = self._periods.ended((request.socket, request.backend), pid)
            return reply

    async def persist(self, request: pb.HaproxyPersistRequest) -> pb.Empty:
        """Write what HAProxy shows now to the file from which it takes states at a reload.

        HAProxy itself says which file that is, so that no request can name another one.

        :raises DirectorError: when its configuration names none.
        """
        runtime = self._runtime(request.socket)
        async with runtime.lock:
            if request.fence.token:
                self._fences.check(request.fence.resource, request.fence.token)
            told = await runtime.exchange([f"show env {STATE_VARIABLE}"])
            named = [line for line in told if line.startswith(f"{STATE_VARIABLE}=/")]
            if not named:
                raise DirectorError(
                    "its configuration names no file for server states",
                    where=runtime.where,
                    remedy="write it with the role haproxy, or set "
                    f"{STATE_VARIABLE} in its global section",
                )
            states = await runtime.exchange(["show servers state"])
            write_states(Path(named[0].split("=", 1)[1]), states)
        return pb.Empty()

    async def hold(self, request: pb.HaproxyHoldRequest) -> pb.HaproxyHoldReply:
        """Hold new requests of a backend for some seconds, or with 0 let them go on.

        Where server lines are named, the answer waits until they have no request left.

        :raises FencedError: when a newer fencing token has been seen.
        :raises DirectorError: when its configuration cannot, or it does not show the change.
        """
        runtime = self._runtime(request.socket)
        async with runtime.lock:
            if (request.socket, request.backend) not in self._holds:
                await self._read_hold(runtime, request.socket, request.backend)
            self._fences.check(request.fence.resource, request.fence.token)
            expiry = round((self._now() + request.seconds) * 1000) if request.seconds else 0
            began = self._periods.clock()
            number = self._numbers.get((request.socket, request.backend))
            seen = None
            if number and request.leaving:
                seen = await self._hold_and_look(runtime, request.backend, expiry, number)
            pid = seen.pid if seen else await self._hold(runtime, request.backend, expiry)
            place = request.socket, request.backend
            self._periods.begun(place, pid, began, request.seconds)
        reply = pb.HaproxyHoldReply(holding=expiry > 0, pid=pid)
        if request.leaving:
            await self._until_left(runtime, request, reply, seen)
        return reply

    async def _hold(self, runtime: RuntimeSocket, backend: str, expiry: int) -> int:
        """Set until when requests are held, and return the pid of the process that does so."""
        lines = await runtime.exchange(holding(backend, expiry))
        return parse_holding(lines, expiry, runtime.where)

    async def _hold_and_look(
        self, runtime: RuntimeSocket, backend: str, expiry: int, number: str
    ) -> Backend | None:
        """Do both in one exchange; ``None`` when the number is of a process that has gone."""
        lines = await runtime.exchange([*setting(backend, expiry), *reading(backend, number)])
        rest = parse_setting(lines, expiry, runtime.where)
        with contextlib.suppress(DirectorError):
            seen, complaints = parse_backend(rest, number, runtime.where)
            return None if complaints else seen
        return None

    async def _until_left(
        self,
        runtime: RuntimeSocket,
        request: pb.HaproxyHoldRequest,
        reply: pb.HaproxyHoldReply,
        seen: Backend | None,
    ) -> None:
        """Look, ever more slowly, until the lines have no request left or the time is over.

        The look comes after the hold was read back, so what it shows can only become less.

        :param seen: the first look, where it came with the hold.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + request.within, _FIRST_LOOK
        while True:
            if seen is None:
                async with runtime.lock:
                    seen = await self._read(runtime, request)
            lines = [server for name in request.leaving if (server := seen.server(name))]
            self._held[request.socket, request.backend] = seen
            reply.shown.CopyFrom(self._reply(request.socket, request.backend, seen))
            reply.idle = not any(line.sessions + line.queued for line in lines)
            if reply.idle or loop.time() >= deadline:
                return
            await asyncio.sleep(pause)
            pause, seen = min(pause * 1.5, _LAST_LOOK), None

    async def read_hold(self, query: pb.HaproxyQuery) -> pb.HaproxyHoldReply:
        """Tell whether new requests of a backend are held now.

        :raises DirectorError: when its configuration cannot hold any.
        """
        runtime = self._runtime(query.socket)
        async with runtime.lock:
            pid, expiry = await self._read_hold(runtime, query.socket, query.backend)
        return pb.HaproxyHoldReply(holding=expiry > self._now() * 1000, pid=pid)

    async def _read_hold(
        self, runtime: RuntimeSocket, socket: str, backend: str
    ) -> tuple[int, int]:
        """Return the pid, and until when requests are held, of a process that can hold them.

        Where that was never seen nothing is set: the variable would then look like a hold.
        """
        _check_name(backend, "backend", runtime.where)
        found = parse_hold(await runtime.exchange(reading_hold(backend)), runtime.where)
        self._holds.add((socket, backend))
        return found

    def _runtime(self, socket: str) -> RuntimeSocket:
        if socket not in self._runtimes:
            known = ", ".join(sorted(self._runtimes)) or "none"
            raise AccessError(
                "the agent does not relay to this socket",
                where=f"HAProxy at {socket}",
                remedy=f"start the agent with --relay-socket for it; it relays to: {known}",
            )
        return self._runtimes[socket]

    async def _read(
        self,
        runtime: RuntimeSocket,
        asked: pb.HaproxyQuery | pb.HaproxyApplyRequest | pb.HaproxyHoldRequest,
    ) -> Backend:
        _check_name(asked.backend, "backend", runtime.where)
        place = (asked.socket, asked.backend)
        if place in self._numbers:
            with contextlib.suppress(DirectorError):  # it was reloaded, and counts otherwise now
                return await self._read_numbered(runtime, asked.backend, self._numbers[place])
            del self._numbers[place]
        told = await runtime.exchange(finding(asked.backend))
        number = parse_number(told)
        if number is None:
            said = told[0].rstrip(".") if told else "it says nothing"
            raise UnknownNameError(
                f"has no backend {asked.backend} with servers ({said})",
                where=runtime.where,
                remedy="name a backend of its configuration",
            )
        backend = await self._read_numbered(runtime, asked.backend, number)
        self._numbers[place] = number
        return backend

    async def _read_numbered(self, runtime: RuntimeSocket, name: str, number: str) -> Backend:
        lines = await runtime.exchange(reading(name, number))
        backend, complaints = parse_backend(lines, number, runtime.where)
        if complaints:
            raise DirectorError(f"cannot be read: {complaints[0]}", where=runtime.where)
        return backend

    def _remember_opened(
        self, request: pb.HaproxyApplyRequest, before: Backend, at: WallTime
    ) -> None:
        """Remember for each line that left ``maint`` that it did so after ``at``."""
        stands = {server.name: server.admin_state for server in before.servers}
        for change in request.changes:
            if not change.admin_state:
                continue
            if stands[change.server] == "maint" != change.admin_state:
                line = (request.socket, request.backend, change.server)
                self._opened[line] = (before.pid, at)
            stands[change.server] = change.admin_state

    def _reply(self, socket: str, name: str, backend: Backend) -> pb.HaproxyReply:
        return pb.HaproxyReply(
            pid=backend.pid,
            uptime=backend.uptime,
            servers=[
                pb.HaproxyServer(
                    name=server.name,
                    address=server.address,
                    admin_state=server.admin_state,
                    status=server.status,
                    check_status=server.check_status,
                    checked_at=self._checked_at((socket, name, server.name), server, backend),
                    weight=server.weight,
                    sessions=server.sessions,
                    queued=server.queued,
                    backup=server.backup,
                    requests=server.counted.requests,
                    failed=server.counted.failed,
                    answered=server.counted.answered,
                    latency=server.counted.latency,
                    slowest=server.counted.slowest,
                )
                for server in backend.servers
            ],
        )

    def _checked_at(
        self, line: tuple[str, str, str], server: ServerLine, backend: Backend
    ) -> float:
        """Return a wall time after which the last check ended and passed; 0 when none did.

        HAProxy tells no such time, but two that are not later: when the line's status last changed
        (whole seconds, and not trusted when the process took it from a state file), and, known
        here, when the line was last taken out of ``maint``. Where neither is known, all that can
        be said is that it has passed at some time.
        """
        if not server.passed:
            return 0.0
        changed = self._now() - server.since - 1 if server.since < backend.uptime else 0.0
        pid, opened = self._opened.get(line, (0, WallTime(0.0)))
        return max(_SOME_TIME, changed, opened if pid == backend.pid else 0.0)


def _check_name(name: str, what: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"{name[:60]!r} is not a name of a {what}",
            where=where,
            remedy="use letters, digits and _ . : -",
        )


def _commands(backend: str, change: pb.HaproxyChange, before: Backend, where: str) -> list[str]:
    """Return the commands for one change, the weight before the state.

    :raises ForeshadowError: when the change is not one that may be asked for.
    """
    _check_name(change.server, "server", where)
    if before.server(change.server) is None:
        known = ", ".join(server.name for server in before.servers)
        raise UnknownNameError(
            f"backend {backend} has no server {change.server}",
            where=where,
            remedy=f"add a line for it, or map the host to one of: {known}",
        )
    if change.admin_state and change.admin_state not in _ADMIN_STATES:
        raise SpecError(f"{change.admin_state!r} is not a server state", where=where)
    if change.weight > _HEAVIEST:
        raise SpecError(f"weight {change.weight} is more than {_HEAVIEST}", where=where)
    line = f"{backend}/{change.server}"
    commands = [f"set server {line} weight {change.weight}"] if change.weight >= 0 else []
    if change.admin_state:
        commands.append(f"set server {line} state {change.admin_state}")
    if change.evict:
        commands.append(f"shutdown sessions server {line}")
    return commands


def _verify(
    changes: Sequence[pb.HaproxyChange], before: Backend, after: Backend, where: str
) -> None:
    """Raise unless every server shows the last state and weight that it was told."""
    if after.pid != before.pid:
        raise DirectorError(
            "was reloaded in the middle of a change: its state is unknown",
            where=where,
            remedy="read it again, and repeat or undo the change",
        )
    wanted_state = {c.server: c.admin_state for c in changes if c.admin_state}
    wanted_weight = {c.server: c.weight for c in changes if c.weight >= 0}
    for server in after.servers:
        state = wanted_state.get(server.name, server.admin_state)
        weight = wanted_weight.get(server.name, server.weight)
        if (server.admin_state, server.weight) != (state, weight):
            raise DirectorError(
                f"shows {server.name} in {server.admin_state} with weight {server.weight}, "
                f"told {state} with weight {weight}",
                where=where,
                remedy="look for somebody else who changes it",
            )


def _reloaded(where: str) -> DirectorError:
    return DirectorError("was reloaded since it was read", where=where, remedy="read it again")


def _refuse_down(changes: Sequence[pb.HaproxyChange], after: Backend, where: str) -> None:
    """Raise when a server that was made ready is not up: what is held had nowhere to go."""
    for change in changes:
        server = after.server(change.server)
        if change.admin_state == "ready" and server and not server.status.startswith(_UP):
            raise DirectorError(
                f"shows {server.name} as {server.status}, so requests are held on",
                where=where,
                remedy="see whether the service there is well",
            )
