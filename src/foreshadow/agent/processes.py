"""Processes, read from /proc: who they are, who belongs together, and signals that cannot miss.

A pid is reused, and a start time is told in clock ticks only, so neither proves who a process is.
A signal is therefore sent through a pidfd, opened first and then proved to be the process that was
meant: by boot, start time and, for what the agent started, a marker in its environment.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MARKER = "FORESHADOW_INSTANCE"
"""Environment variable that marks every process of an instance."""

TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PART = 1 << 16


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a process from any other that has its pid at another time.

    :ivar boot: id of the boot in which it runs.
    :ivar started: clock ticks from that boot to its start.
    """

    pid: int
    boot: str
    started: int


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process that the agent started bears.

    :ivar marker: in its environment; some programs write over theirs to change their title.
    :ivar folder: in which it was started, and to which its output goes.
    """

    marker: str
    folder: Path

    def is_on(self, pid: int) -> bool:
        """Return whether a process bears it."""
        if environment(pid).get(MARKER) == self.marker:
            return True
        return any(_link(pid, name).is_relative_to(self.folder) for name in ("cwd", "fd/1", "fd/2"))


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table.

    :ivar state: letter of the kernel; ``T`` is stopped by a signal, ``Z`` is dead and not reaped.
    :ivar cpu: seconds of CPU that it used, with those of its children that were waited for.
    :ivar memory: bytes that are resident.
    """

    pid: int
    parent: int
    session: int
    started: int
    state: str
    cpu: float
    memory: int

    @property
    def alive(self) -> bool:
        """Whether it still runs, frozen or not."""
        return self.state not in "ZXx"

    @property
    def frozen(self) -> bool:
        """Whether a signal stopped it."""
        return self.state in "Tt"


@cache
def boot_id() -> str:
    """Return the id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read_process(pid: int) -> Process | None:
    """Return a line of the process table, or ``None`` when there is no such process."""
    content = _read(pid, "stat")
    if not content:
        return None
    # The name of the program stands in parentheses, and may hold anything.
    fields = content[content.rindex(b")") + 2 :].split()
    return Process(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        state=fields[0].decode(),
        cpu=sum(int(ticks) for ticks in fields[11:15]) / TICK,
        memory=int(fields[21]) * _PAGE,
    )


def identify(pid: int) -> Identity | None:
    """Return the identity of a live process, or ``None``."""
    process = read_process(pid)
    if process is None or not process.alive:
        return None
    return Identity(pid, boot_id(), process.started)


def find(identity: Identity, sign: Sign | None) -> Process | None:
    """Return the live process with this identity, or ``None`` when it has ended.

    :param sign: that it must bear when the agent started it; ``None`` for one that was adopted,
        which had outlived its first clock tick by then.
    """
    process = read_process(identity.pid)
    if process is None or not process.alive:
        return None
    if (process.started, boot_id()) != (identity.started, identity.boot):
        return None
    return process if sign is None or sign.is_on(process.pid) else None


def is_alive(process: Process) -> bool:
    """Return whether a process of the table still runs."""
    seen = read_process(process.pid)
    return seen is not None and seen.alive and seen.started == process.started


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; empty when it may not be read."""
    content = _read(pid, "environ").decode(errors="replace")
    pairs = (item.partition("=") for item in content.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def command_line(pid: int) -> str:
    """Return the command line of a process for a person, shortened."""
    text = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip() or "?"
    return text if len(text) <= 80 else f"{text[:77]}..."


def table() -> list[Process]:
    """Return the process table: everything that is alive."""
    found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
    return [process for process in found if process is not None and process.alive]


def marked(wanted: dict[str, str]) -> tuple[Identity, str] | None:
    """Return the oldest process with a marker and all of this in its environment, or ``None``.

    :return: its identity, and its marker.
    """
    found: list[tuple[int, int, str]] = []
    for process in table():
        variables = environment(process.pid)
        if MARKER in variables and wanted.items() <= variables.items():
            found.append((process.started, process.pid, variables[MARKER]))
    if not found:
        return None
    started, pid, marker = min(found)
    return Identity(pid, boot_id(), started), marker


def family(leader: Process, processes: list[Process]) -> list[Process]:
    """Return a process, its descendants, and its session when it leads one."""
    children: dict[int, list[Process]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    members = {leader.pid: leader}
    if leader.session == leader.pid:
        members |= {p.pid: p for p in processes if p.session == leader.pid}
    waiting = list(members.values())
    while waiting:
        for child in children.get(waiting.pop().pid, ()):
            if child.pid not in members:
                members[child.pid] = child
                waiting.append(child)
    return list(members.values())


def members(identity: Identity | None, sign: Sign | None) -> list[Process]:
    """Return every live process of an instance.

    :param identity: of its first process; it may have ended, and others of it live on.
    :param sign: that it bears; ``None`` when it was adopted.
    """
    processes = table()
    leader = None if identity is None else find(identity, sign)
    found = {p.pid: p for p in (family(leader, processes) if leader is not None else ())}
    if sign is not None:
        variable = f"{MARKER}={sign.marker}".encode()
        # The marker is made for the first process: whoever inherited it, started no earlier.
        first = 0 if identity is None else identity.started
        for process in processes:
            if process.pid in found or process.started < first:
                continue
            if variable in _read(process.pid, "environ").split(b"\0"):
                found[process.pid] = process
    return list(found.values())


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to exactly this process; nothing happens when it has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Read after the pidfd was opened: while that process lives, the pid is its own.
        seen = read_process(process.pid)
        if seen is not None and (seen.started, seen.session) == (process.started, process.session):
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _read(pid: int, name: str) -> bytes:
    """Return a file of a process; empty when it has ended or is not ours to read."""
    # The whole table is read for each freeze and thaw: without file objects it takes half the time.
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        content = b""
        while part := os.read(file, _PART):
            content += part
        return content
    except OSError:
        return b""
    finally:
        os.close(file)


def _link(pid: int, name: str) -> Path:
    try:
        return Path(f"/proc/{pid}/{name}").readlink()
    except OSError:
        return Path()
