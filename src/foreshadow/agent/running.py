"""Finding the primary that already runs on a host, to take it into care as it is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from foreshadow.agent.processes import Identity, command_line, identify, read_process
from foreshadow.agent.scope import Scope
from foreshadow.agent.sockets import listener
from foreshadow.domain.errors import ServiceError


async def find_running(scope: Scope) -> Identity | None:
    """Return the process that runs the service, or ``None`` when none does.

    It is the one in ``pid_file`` when the spec names one, else the one that listens on the
    instance's address and port.

    :raises ServiceError: when one runs that the agent cannot take care of.
    """
    service = scope.record.spec.service
    if service.pid_file is not None:
        pid = _pid_in(scope, Path(scope.fill(service.pid_file)))
    else:
        pid = await _listening(scope)
    identity = None if pid is None else identify(pid)
    if identity is not None:
        _refuse_foreign(scope, identity.pid)
    return identity


def _pid_in(scope: Scope, path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(
            f"its pid_file {path} cannot be read: {error}",
            where=scope.where,
            remedy="let the agent's user read it, or leave pid_file out",
        ) from None
    if not text.isdecimal():
        raise ServiceError(
            f"its pid_file {path} holds no pid",
            where=scope.where,
            remedy="correct pid_file, or leave it out",
        )
    return int(text)


async def _listening(scope: Scope) -> int | None:
    """Return the first of the processes that listen on the instance's port."""
    address, port = scope.home.address, scope.record.spec.service.port
    found = await asyncio.to_thread(listener, address, port)
    if found is None:
        return None
    if not found.pids or os.getpid() in found.pids:
        raise ServiceError(
            f"port {port} of {address} is taken by {found if not found.pids else 'the agent'}",
            where=scope.where,
            remedy="run the agent as the user of the service or as root, or correct the port",
        )
    # Workers share the socket of the process that made them.
    parents = {pid: process.parent for pid in found.pids if (process := read_process(pid))}
    roots = [pid for pid, parent in parents.items() if parent not in parents]
    return min(roots, default=None)


def _refuse_foreign(scope: Scope, pid: int) -> None:
    """Refuse a process that the agent may not signal: it could never be frozen or stopped."""
    if os.geteuid() != 0 and Path(f"/proc/{pid}").stat().st_uid != os.geteuid():
        raise ServiceError(
            f"it runs as pid {pid} ({command_line(pid)}) of another user",
            where=scope.where,
            remedy="run the agent as that user or as root",
        )
