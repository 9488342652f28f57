"""Running a short command beside a service: a hook or a health check."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from foreshadow.agent.scope import Scope
from foreshadow.domain.units import format_duration

_TAIL_BYTES = 4096
_TAIL_LINES = 3


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended.

    :ivar said: in one line: its status and the last lines that it wrote.
    """

    ok: bool
    said: str


async def run(scope: Scope, command: tuple[str, ...], within: float, pid: int | None) -> Result:
    """Run a command with the instance's environment and user, and wait for its end.

    :param within: seconds; after them it is killed, with all that it started.
    :param pid: of the service, for ``FORESHADOW_PID``, so that a hook can send it a signal.
    """
    argv = scope.fill_all(command)
    arguments = scope.popen()
    if pid is not None:
        arguments["env"]["FORESHADOW_PID"] = str(pid)
    # A file, not a pipe: what a command leaves running must not hold up the agent.
    with tempfile.TemporaryFile() as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **arguments,
            )
        except OSError as error:
            return Result(False, f"{argv[0]} cannot be run: {(error.strerror or '').lower()}")
        try:
            async with asyncio.timeout(within):
                status = await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return Result(False, f"{argv[0]} did not end within {format_duration(within)}")
        return Result(status == 0, f"{argv[0]} {ended(status)}{_wrote(output)}")


def ended(status: int) -> str:
    """Return in words how a process ended, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"


def last_lines(path: Path) -> str:
    """Return the last lines of a log as one line; empty when there are none."""
    try:
        with path.open("rb") as log:
            return _tail(log)
    except OSError:
        return ""


def _wrote(output: IO[bytes]) -> str:
    tail = _tail(output)
    return f": {tail}" if tail else ""


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL_BYTES))
    lines = log.read().decode(errors="replace").splitlines()
    kept = [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
    return " | ".join(kept)
