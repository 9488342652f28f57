"""Holding new requests in HAProxy: a process variable with the hold's expiry, and a Lua action.

The role ``haproxy`` writes both into the configuration of a backend that may be held. The variable
is the wall time, in milliseconds, at which the hold ends by itself; 0 is no hold. It is gone after
a reload, and so is the hold: what depends on it has to be read back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from foreshadow.domain.errors import DirectorError

_VALUE = re.compile(r"proc\.\S+: type=sint value=<(?P<value>\d+)>")
_PID = re.compile(r"Pid: (?P<pid>\d+)")


def variable(backend: str) -> str:
    """Return the variable of a backend."""
    return f"proc.foreshadow_hold_{re.sub('[^A-Za-z0-9]', '_', backend)}"


def holding(backend: str, expiry: int) -> list[str]:
    """Return the commands that hold the requests of a backend until a time, or with 0 no more.

    What they answer is for :func:`parse_holding`.

    :param expiry: wall time in milliseconds.
    """
    return [*setting(backend, expiry), "show info"]


def setting(backend: str, expiry: int) -> list[str]:
    """Return the commands of :func:`holding` whose answers :func:`parse_setting` takes."""
    read = f"get var {variable(backend)}"
    # HAProxy 2.8 lets variables be set only so.
    change = f"experimental-mode on;set var {variable(backend)} int({expiry})"
    return [read, change, read]


def reading_hold(backend: str) -> list[str]:
    """Return the commands whose answers :func:`parse_hold` takes."""
    return [f"get var {variable(backend)}", "show info"]


def parse_holding(lines: Sequence[str], expiry: int, where: str) -> int:
    """Return the pid of the process that answered, when it holds requests as it was told.

    :raises DirectorError: when it does not. Also when its configuration had no hold for the
        backend before the change: the variable would be there now, and nobody would heed it.
    """
    pid, shown = _parsed(lines, 2, where)
    _refuse_other(shown, expiry, where)
    return pid


def parse_setting(lines: Sequence[str], expiry: int, where: str) -> list[str]:
    """Return the lines that answered other commands, when requests are held as was told.

    :raises DirectorError: as :func:`parse_holding`.
    """
    values = [found for line in lines if (found := _VALUE.fullmatch(line))]
    _refuse_other(_last(values, 2, where), expiry, where)
    return [line for line in lines if not _VALUE.fullmatch(line)]


def parse_hold(lines: Sequence[str], where: str) -> tuple[int, int]:
    """Return the pid of the process that answered, and until when it holds requests.

    :raises DirectorError: when its configuration has no hold for the backend.
    """
    return _parsed(lines, 1, where)


def _parsed(lines: Sequence[str], reads: int, where: str) -> tuple[int, int]:
    values = [found for line in lines if (found := _VALUE.fullmatch(line))]
    pids = [found for line in lines if (found := _PID.fullmatch(line))]
    if not pids:
        raise DirectorError("broke its answer off", where=where, remedy="try again")
    return int(pids[0]["pid"]), _last(values, reads, where)


def _last(values: Sequence[re.Match[str]], reads: int, where: str) -> int:
    if len(values) < reads:
        raise DirectorError(
            "its configuration cannot hold requests of this backend",
            where=where,
            remedy="write it with the role haproxy, and policy.pause_writes on the resource",
        )
    return int(values[-1]["value"])


def _refuse_other(shown: int, expiry: int, where: str) -> None:
    if shown != expiry:
        raise DirectorError(
            "does not hold requests as it was told",
            where=where,
            remedy="look for somebody else who changes it",
        )
