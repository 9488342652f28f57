"""Who holds a lease: a process, so named that another process can tell when it is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return ``host:boot id:pid:start time`` of the running process."""
    pid = os.getpid()
    started, _ = _stat(pid) or ("0", "")
    return f"{socket.gethostname()}:{_boot()}:{pid}:{started}"


def is_dead(holder: str) -> bool:
    """Return whether the process is certainly gone.

    Only ever true for a process of this boot of this machine (and, in containers, of this pid
    namespace). What cannot be seen from here is taken for alive: its lease has to expire.
    """
    try:
        _, boot, pid_text, started = holder.rsplit(":", 3)
        pid = int(pid_text)
    except ValueError:
        return False
    if boot != _boot() or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it exists, and is somebody else's
    seen = _stat(pid)
    if seen is None:
        return False  # hidden from us, as with hidepid: it still answered to its number
    now_started, state = seen
    return now_started != started or state in ("Z", "X")


def _boot() -> str:
    """Return the id of this boot, and of the pid namespace, in which a pid means something."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"


def _stat(pid: int) -> tuple[str, str] | None:
    """Return the start time (clock ticks since boot) and the state letter of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command before it may hold anything
    return fields[19], fields[0]
