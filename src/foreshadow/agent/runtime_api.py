"""HAProxy's runtime API: one exchange with it, and what its answers say.

Each exchange is a connection of its own: the commands in one line, then all answers until HAProxy
closes. The answers of ``show info typed``, ``show servers state`` and ``show stat typed`` differ
in the shape of their lines, so that one exchange reads a backend as one process showed it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foreshadow.domain.errors import AccessError, DirectorError, UnreachableError
from foreshadow.domain.units import format_duration

_LARGEST_ANSWER = 8 * 2**20

_INFO = re.compile(r"\d+\.(?P<field>[^.]+)\.\d+:\w+:\w+:(?P<value>.*)")
_STAT = re.compile(
    r"S\.(?P<iid>\d+)\.(?P<sid>\d+)\.\d+\.(?P<field>[^.]+)\.\d+:\w+:\w+:(?P<value>.*)"
)
_COUNT = re.compile(r"B\.\d+\.\d+\.\d+\.(?P<field>[^.]+)\.\d+:\w+:\w+:(?P<value>.*)")
_STATE = re.compile(
    r"(?P<iid>\d+) \S+ (?P<sid>\d+) (?P<name>\S+) \S+ \d+ (?P<admin>\d+) (?P<weight>\d+) .*"
)

# Bits of srv_admin_state. 4, "disabled in the configuration", stays on after `state ready`.
_MAINT = 1 | 2 | 32
_DRAIN = 8 | 16


@dataclass(frozen=True, slots=True)
class Counted:
    """What a server line counted since its process began.

    :ivar requests: that it was given and that have ended.
    :ivar failed: those that it answered with 5xx, or that broke off; also where HAProxy then had
        another server answer.
    :ivar answered: those that it answered, with whatever status.
    :ivar latency: seconds to the first byte, the mean of the last 1024 answers; in whole
        milliseconds for each of its three parts.
    :ivar slowest: seconds that no answer has taken longer than.
    """

    requests: int = 0
    failed: int = 0
    answered: int = 0
    latency: float = 0.0
    slowest: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One server line of a backend.

    :ivar admin_state: ``ready``, ``drain`` or ``maint``.
    :ivar status: as ``show stat`` has it, such as ``UP``, ``DOWN 1/2``, ``DRAIN``.
    :ivar check_status: such as ``L7OK``; empty when it is not checked, or in ``maint``.
    :ivar passed: whether the last check passed, and ended after the line had last left ``maint``.
    :ivar since: seconds since the last change of its status, rounded down.
    :ivar counted: what it counted since its process began, in HTTP mode.
    """

    name: str
    address: str
    admin_state: str
    status: str
    check_status: str
    passed: bool
    since: int
    weight: int
    sessions: int
    queued: int
    backup: bool
    counted: Counted


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend as one HAProxy process shows it.

    :ivar pid: of the process that answered; a reload changes it.
    :ivar uptime: seconds that it has run.
    :ivar number: of the backend in that process.
    """

    pid: int
    uptime: int
    number: str
    servers: tuple[ServerLine, ...]

    def server(self, name: str) -> ServerLine | None:
        """Return the server line of this name."""
        return next((server for server in self.servers if server.name == name), None)


class RuntimeSocket:
    """The runtime API of one HAProxy.

    A frozen HAProxy leaves a command unanswered, and carries it out once it runs again. So the
    connection of an exchange that was given up stays open, and the next exchange first waits
    until HAProxy has closed it: what is read or changed then, comes after the late command.

    :ivar lock: held by whoever makes one or more exchanges that belong together.
    :param timeout: seconds that one exchange may take.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.lock = asyncio.Lock()
        self._timeout = timeout
        self._given_up: asyncio.Task[str] | None = None

    @property
    def busy(self) -> bool:
        """Whether an exchange would have to wait, for others or for what was given up."""
        given_up = self._given_up is not None and not self._given_up.done()
        return given_up or self.lock.locked()

    async def exchange(self, commands: Sequence[str]) -> list[str]:
        """Return the lines of the answers to these commands, without the empty ones.

        :raises UnreachableError: when HAProxy does not answer; what it does is then unknown.
        :raises AccessError: when the socket may not be opened.
        """
        if self._given_up is not None:
            await self._ended(self._given_up)
        self._given_up = asyncio.create_task(self._converse(";".join(commands)))
        ended = await self._ended(self._given_up)
        return [line for line in self._text(ended).splitlines() if line.strip()]

    async def _ended(self, conversation: asyncio.Task[str]) -> asyncio.Task[str]:
        """Wait for a conversation, which goes on alone when the waiting is given up."""
        done, _ = await asyncio.wait({conversation}, timeout=self._timeout)
        if not done:
            raise UnreachableError(
                f"does not answer within {format_duration(self._timeout)}",
                where=self.where,
                remedy="look whether that process is frozen or overloaded",
            )
        self._given_up = None
        return conversation

    def _text(self, conversation: asyncio.Task[str]) -> str:
        try:
            return conversation.result()
        except PermissionError:
            raise AccessError(
                "the agent may not open the socket",
                where=self.where,
                remedy="run the agent as the owner of the socket",
            ) from None
        except OSError as error:
            raise UnreachableError(
                f"cannot be reached: {error.strerror or error}",
                where=self.where,
                remedy="look whether HAProxy runs, and has a stats socket there",
            ) from None

    async def _converse(self, line: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(line.encode() + b"\n")
            answer = bytearray()
            while part := await reader.read(65536):
                answer += part
                if len(answer) > _LARGEST_ANSWER:
                    raise OSError("its answer is longer than 8 MiB")
            return answer.decode(errors="replace")
        finally:
            writer.close()

    @property
    def where(self) -> str:
        """Return what errors call this HAProxy."""
        return f"HAProxy at {self.path}"


COUNTING = ("show info typed", "show stat -1 2 -1 typed")
"""Commands whose answers :func:`parse_counts` takes: of all backends, without their servers."""


def parse_counts(lines: Sequence[str], where: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the pid of the process that answered, and the fields of each backend by its name.

    :raises DirectorError: when HAProxy broke off, or complained.
    """
    pid = ""
    backends: dict[str, dict[str, str]] = {}
    for line in lines:
        if found := _COUNT.fullmatch(line):
            if found["field"] == "pxname":  # the first of each backend
                fields = backends.setdefault(found["value"], {})
            fields[found["field"]] = found["value"]
        elif (found := _INFO.fullmatch(line)) and found["field"] == "Pid":
            pid = found["value"]
    if not pid:
        raise DirectorError("broke its answer off", where=where, remedy="try again")
    return int(pid), backends


def finding(backend: str) -> list[str]:
    """Return the command whose answer :func:`parse_number` takes."""
    return [f"show servers state {backend}"]


def parse_number(lines: Sequence[str]) -> str | None:
    """Return the number of the backend, ``None`` when it has no server lines or is not there."""
    found = (_STATE.fullmatch(line) for line in lines)
    return next((line["iid"] for line in found if line), None)


def reading(backend: str, number: str) -> list[str]:
    """Return the commands whose answers :func:`parse_backend` takes.

    :param number: of the backend: by its name, ``show stat`` would find a frontend of that name.
    """
    return ["show info typed", *finding(backend), f"show stat {number} 4 -1 typed"]


def parse_backend(lines: Sequence[str], number: str, where: str) -> tuple[Backend, list[str]]:
    """Return the backend in these lines, and the lines that speak of something else: complaints.

    :raises DirectorError: when HAProxy broke off, or was reloaded with other numbers meanwhile.
    """
    info: dict[str, str] = {}
    stats: dict[str, dict[str, str]] = {}
    states: dict[str, re.Match[str]] = {}
    complaints: list[str] = []
    for line in lines:
        if found := _STAT.fullmatch(line):
            stats.setdefault(found["sid"], {})[found["field"]] = found["value"]
        elif found := _INFO.fullmatch(line):
            info[found["field"]] = found["value"]
        elif found := _STATE.fullmatch(line):
            states[found["sid"]] = found
        elif line != "1" and not line.startswith("#"):  # the version and head of the state
            complaints.append(line.strip())
    if complaints:
        return Backend(0, 0, "", ()), complaints
    numbers = {state["iid"] for state in states.values()}
    if "Pid" not in info or stats.keys() != states.keys() or numbers != {number}:
        raise DirectorError("broke its answer off", where=where, remedy="try again")
    servers = tuple(_server_line(states[sid], stats[sid]) for sid in stats)
    return Backend(int(info["Pid"]), int(info["Uptime_sec"]), number, servers), []


def _server_line(state: re.Match[str], stat: dict[str, str]) -> ServerLine:
    bits = int(state["admin"])
    admin_state = "maint" if bits & _MAINT else "drain" if bits & _DRAIN else "ready"
    # A star marks a line whose next check is under way; the status is still the last one's.
    check_status = stat.get("check_status", "").removeprefix("* ")
    return ServerLine(
        name=state["name"],
        address=stat.get("addr", ""),
        admin_state=admin_state,
        status=stat.get("status", ""),
        check_status=check_status,
        passed=admin_state != "maint" and check_status.endswith("OK") and _is_healthy(stat),
        since=int(stat.get("lastchg", "0")),
        weight=int(state["weight"]),
        sessions=int(stat.get("scur", "0")),
        queued=int(stat.get("qcur", "0")),
        backup=stat.get("bck") == "1",
        counted=_counted(stat) if stat.get("mode") == "http" else Counted(),
    )


def _counted(stat: dict[str, str]) -> Counted:
    def number(name: str) -> int:
        return int(stat.get(name, "0"))

    # A request that is tried again counts as a retry, and may count as the error that led to it.
    broken = max(number("wretr"), number("econ") + number("eresp"))
    answered = number("req_tot")
    waits = ("qtime", "ctime", "rtime")
    return Counted(
        requests=answered + broken,
        failed=number("hrsp_5xx") + broken,
        answered=answered,
        latency=sum(number(name) for name in waits) / 1000,
        slowest=sum(number(f"{name}_max") for name in waits) / 1000,
    )


def _is_healthy(stat: dict[str, str]) -> bool:
    """Return whether the last check passed, and began after the line had left ``maint``.

    HAProxy tells no time of the last check, and shows the status of one from before ``maint``
    until the next has ended. But it counts: on leaving ``maint`` the health is exactly ``rise``, a
    passed check lifts it to its top of ``rise + fall - 1``, a failed one lowers it. With a
    ``fall`` of 1 the top is ``rise``, and nothing can be told.
    """
    rise, fall = int(stat.get("check_rise", "0")), int(stat.get("check_fall", "0"))
    return fall > 1 and int(stat.get("check_health", "0")) == rise + fall - 1
