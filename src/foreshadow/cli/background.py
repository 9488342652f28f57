"""Running the agent as a process of its own, where no service manager does."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from foreshadow.domain.errors import ServiceError

FLAG = "--background"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


def ensure_running(arguments: list[str], listen: str, state_dir: Path) -> str:
    """Start the agent unless it runs already with the same options; return what was done.

    An agent that runs with other options is replaced; its instances are left alone.

    :param arguments: the command line after ``foreshadow``.
    :returns: ``running PID`` or ``started PID``.
    :raises ServiceError: when the agent ends at once, with the last line that it logged.
    """
    program = str(Path(sys.argv[0]).resolve())
    command = [sys.executable, program, *(word for word in arguments if word != FLAG)]
    note = state_dir / "agent.pid"
    running = _noted(note, state_dir)
    if running is not None:
        if running.cmdline() == command:
            return f"running {running.pid}"
        running.terminate()
        running.wait(_STOP_SECONDS)
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = state_dir / "agent.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    _wait_until_it_listens(process, listen, log)
    note.write_text(f"{process.pid}\n", encoding="ascii")
    return f"started {process.pid}"


def _noted(note: Path, state_dir: Path) -> psutil.Process | None:
    """Return the agent that the note speaks of, when it is still that agent."""
    try:
        process = psutil.Process(int(note.read_text(encoding="ascii")))
        ours = any(str(state_dir) in word for word in process.cmdline())
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None


def _wait_until_it_listens(process: subprocess.Popen[bytes], listen: str, log: Path) -> None:
    address, _, port = listen.rpartition(":")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise ServiceError(
                lines[-1] if lines else f"it ended with status {process.returncode}",
                where=f"agent at {listen}",
                remedy=f"see {log}",
            )
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex((address.strip("[]"), int(port))) == 0:
                return
        time.sleep(0.05)
    process.terminate()
    raise ServiceError(
        f"does not listen after {_START_SECONDS:g} s",
        where=f"agent at {listen}",
        remedy=f"see {log}",
    )
