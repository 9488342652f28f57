"""Running the agent as a process of its own, where no service manager does.

The agent's folder has a note with its pid, which is believed only when that process is an agent
of that very folder; and the agent holds the folder's lock, so that there is never a second one.
"""

from __future__ import annotations

import argparse
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil

from foreshadow.agent.logs import AGENT_LOG
from foreshadow.agent.processes import (
    MARKER,
    Process,
    environment,
    is_alive,
    read_process,
    send,
    table,
)
from foreshadow.domain.errors import AccessError, ServiceError

_PROGRAM = ["-P", "-m", "foreshadow.cli", "agent"]
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Agent:
    """An agent, how it is to run or how it runs.

    :ivar command: with everything that was asked of it, in one way of writing.
    """

    command: list[str]
    listen: str
    folder: Path

    @property
    def where(self) -> str:
        return f"agent at {self.listen}"

    @property
    def log(self) -> Path:
        return self.folder / AGENT_LOG


def ensure_running(options: argparse.Namespace) -> str:
    """Start the agent unless it runs already with the same options; return what was done.

    An agent that runs with other options is replaced, and comes back when its successor cannot
    start; its instances are left alone.

    :param options: of ``foreshadow agent``.
    :returns: ``running PID`` or ``started PID``.
    :raises ServiceError: when the agent cannot start, with the last line that it logged.
    :raises AccessError: when the folder, or the agent that runs, is somebody else's.
    """
    agent = _Agent(_command(options), options.listen, options.state_dir.absolute())
    with _noting(agent.folder) as note:
        return _ensure(agent, note)


def ensure_stopped(folder: Path, listen: str) -> str:
    """End the agent that runs in the background, and then the instances that it left.

    :param folder: its ``--state-dir``, absolute.
    :param listen: its ``--listen``, for errors.
    :returns: ``stopped PID``, or ``absent`` when none ran.
    :raises ServiceError: when a process does not end.
    :raises AccessError: when the folder, or the agent that runs, is somebody else's.
    """
    if not folder.is_dir():
        return "absent"
    with _noting(folder) as note:
        running = _noted(note, folder)
        if running is not None:
            _stop(running[0], _Agent(running[1], listen, folder))
        _end_instances(folder)
        return "absent" if running is None else f"stopped {running[0].pid}"


@contextmanager
def _noting(folder: Path) -> Iterator[TextIO]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "agent.pid").open("a+", encoding="ascii") as note:
            # Of two that start the same agent at once, the second finds it running.
            fcntl.flock(note, fcntl.LOCK_EX)
            yield note
    except OSError as error:
        raise AccessError(
            f"cannot be used: {(error.strerror or str(error)).lower()}",
            where=str(error.filename or folder),
            remedy="run this as the user of the agent, on a --state-dir that it may write to",
        ) from None


def _ensure(agent: _Agent, note: TextIO) -> str:
    running = _noted(note, agent.folder)
    if running is None:
        return f"started {_start(agent, note)}"
    process, command = running
    if command == agent.command:
        return f"running {process.pid}"
    _stop(process, agent)
    try:
        return f"started {_start(agent, note)}"
    except ServiceError as error:
        before = _Agent(command, _listen_of(command), agent.folder)
        raise ServiceError(
            f"{error.problem}; {_come_back(before, note)}", where=error.where, remedy=error.remedy
        ) from None


def _come_back(before: _Agent, note: TextIO) -> str:
    """Start the agent that made way for one that cannot start; return how that went."""
    try:
        _start(before, note)
    except ServiceError as error:
        return f"nor can the one from before: {error.problem}"
    return "the one from before runs again"


def _command(options: argparse.Namespace) -> list[str]:
    """Return the command line, in the same words however the options were written."""
    words = [sys.executable, *_PROGRAM]
    for name, value in sorted(vars(options).items()):
        if name in ("run", "background", "stop") or value is None or value is False:
            continue
        option = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            text = one.absolute() if isinstance(one, Path) else one
            words.append(option if one is True else f"{option}={text}")
    return words


def _listen_of(command: list[str]) -> str:
    return next(word for word in command if word.startswith("--listen=")).partition("=")[2]


def _noted(note: TextIO, folder: Path) -> tuple[Process, list[str]] | None:
    """Return the agent that the note speaks of and its command, when it is this folder's."""
    note.seek(0)
    text = note.read().strip()
    # In this order: what a signal is sent to is the process whose command line was read, or none.
    process = read_process(int(text)) if text.isdecimal() else None
    if process is None or not process.alive:
        return None
    try:
        command = psutil.Process(process.pid).cmdline()
    except psutil.Error:
        return None
    ours = command[1:5] == _PROGRAM and f"--state-dir={folder}" in command
    return (process, command) if ours else None


def _stop(process: Process, agent: _Agent) -> None:
    send(process, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while is_alive(process):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"the one that runs, pid {process.pid}, does not end",
                where=agent.where,
                remedy="kill it: its instances go on, and the next agent takes care of them",
            )
        time.sleep(_POLL_SECONDS)


def _end_instances(folder: Path) -> None:
    """End the processes of instances whose state lies in the folder: first asked, then killed."""
    began = time.monotonic()
    number = signal.SIGTERM
    asked: set[tuple[int, int]] = set()
    while left := _instances(folder):
        if time.monotonic() - began > 2 * _STOP_SECONDS:
            raise ServiceError(
                f"an instance, pid {left[0].pid}, does not end",
                where=f"agent folder {folder}",
                remedy="see what it waits for",
            )
        if number is signal.SIGTERM and time.monotonic() - began > _STOP_SECONDS:
            number, asked = signal.SIGKILL, set()
        for process in left:
            if (process.pid, process.started) not in asked:
                asked.add((process.pid, process.started))
                send(process, number)
                send(process, signal.SIGCONT)  # a frozen one hears the first when it thaws
        time.sleep(_POLL_SECONDS)


def _instances(folder: Path) -> list[Process]:
    return [
        process
        for process in table()
        if MARKER in (found := environment(process.pid))
        and Path(found.get("FORESHADOW_STATE", "/")).is_relative_to(folder)
    ]


def _start(agent: _Agent, note: TextIO) -> int:
    """Start an agent, note its pid, and return it when the agent listens."""
    with agent.log.open("ab") as out:
        logged = out.tell()
        process = subprocess.Popen(
            agent.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=agent.folder,
            start_new_session=True,
        )
    note.truncate(0)
    note.write(f"{process.pid}\n")
    note.flush()
    port = int(agent.listen.rpartition(":")[2])
    deadline = time.monotonic() + _START_SECONDS
    while not _listens(process.pid, port):
        if process.poll() is not None:
            raise ServiceError(
                _last_line(agent.log, logged) or f"it ended with status {process.returncode}",
                where=agent.where,
                remedy=f"see {agent.log}",
            )
        if time.monotonic() > deadline:
            process.terminate()
            raise ServiceError(
                f"does not listen after {_START_SECONDS:g} s",
                where=agent.where,
                remedy=f"see {agent.log}",
            )
        time.sleep(_POLL_SECONDS)
    return process.pid


def _listens(pid: int, port: int) -> bool:
    """Return whether this very process listens at the port; a stranger there does not count."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def _last_line(log: Path, start: int) -> str:
    """Return the last line that was logged after a position."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    return next((x.strip() for x in reversed(lines) if x.strip()), "").removeprefix("foreshadow: ")
