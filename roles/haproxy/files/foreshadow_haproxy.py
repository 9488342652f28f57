"""Starts and reloads a HAProxy without losing what its runtime knows.

    save SOCKET STATES                               writes the server states to the file STATES
    start SOCKET MASTER PIDFILE PROGRAM CONFIG       starts HAProxy unless it runs; says which
    reload SOCKET MASTER STATES                      saves, reloads, waits for the new process

SOCKET is the stats socket, MASTER the socket of the master process. Needs Python 3.8 and nothing
else, for it runs on the load balancer.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 10.0


def ask(path: str, commands: str) -> str:
    """Return what HAProxy answers; the master closes only when it is told to quit."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        connection.sendall(f"{commands}\n".encode())
        answer = bytearray()
        while True:
            part = connection.recv(65536)
            if not part:
                return answer.decode(errors="replace")
            answer += part


def pid(path: str) -> str | None:
    """Return the process that answers at a stats socket, ``None`` when none does."""
    try:
        lines = ask(path, "show info").splitlines()
    except OSError:
        return None
    return next((line.split()[1] for line in lines if line.startswith("Pid: ")), None)


def wait_for_another(path: str, before: str | None) -> None:
    """Wait until a process answers that is not the one from before."""
    deadline = time.monotonic() + PATIENCE
    while pid(path) in (None, before):
        if time.monotonic() > deadline:
            sys.exit(f"HAProxy does not answer at {path} within {PATIENCE:g} s")
        time.sleep(0.05)


def save(path: str, states: str) -> None:
    """Write the server states, so that the next process starts with them."""
    if pid(path) is None:
        return  # it does not run: what was saved last is still right
    shown = ask(path, "show servers state")
    draft = Path(f"{states}.{os.getpid()}")
    draft.write_text(shown, encoding="ascii")
    draft.chmod(0o644)
    draft.replace(states)


def start(path: str, master: str, pid_file: str, program: str, config: str) -> str:
    """Start HAProxy as a daemon, master and worker, unless it runs."""
    if pid(path) is not None:
        return "running"
    command = [program, "-W", "-D", "-S", f"{master},mode,600", "-p", pid_file, "-f", config]
    said = Path(f"{pid_file}.log")  # not a pipe: the daemon would keep it open
    with said.open("wb") as log:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    if done.returncode != 0:
        lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
        alerts = [line for line in lines if line.startswith("[ALERT]")] or lines[-1:]
        sys.exit(f"HAProxy does not start: {' '.join(alerts[:1]) or 'it says nothing'}")
    wait_for_another(path, None)
    return "started"


def reload(path: str, master: str, states: str) -> str:
    """Save the states, and put a new process on the configuration in the place of the old."""
    before = pid(path)
    save(path, states)
    said = ask(master, "reload;quit")
    if said.startswith("Success=0"):
        sys.exit(f"HAProxy refused the reload, and goes on as before: {' '.join(said.split())}")
    wait_for_another(path, before)
    return "reloaded"


def main() -> None:
    """Do what the command line says."""
    acts: dict[str, Callable[..., str | None]] = {"save": save, "start": start, "reload": reload}
    act, arguments = sys.argv[1], sys.argv[2:]
    sys.stdout.write(f"{acts[act](*arguments) or 'saved'}\n")


if __name__ == "__main__":
    main()
