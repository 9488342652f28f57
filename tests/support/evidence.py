"""What a call has done to a fleet, told by nothing of ours: files, processes, HAProxy itself."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from tests.support.agents import instances
from tests.support.fleet import Fleet

Evidence = dict[str, Any]


def evidence(fleet: Fleet) -> Evidence:
    """Return everything that a call may change: equal answers mean that it changed nothing.

    Two things only ever grow and are no change: fencing tokens, and what agents measured.
    """
    folder = fleet.agents.folder
    found: Evidence = {"ledger": _ledger(folder / "ledger.db")}
    for host in fleet.agents.hosts:
        state = folder / host / "state"
        found[f"files on {host}"] = _tree(state / "resources")
        query = "SELECT kind, name, body FROM documents WHERE kind NOT IN ('fence', 'sync_fence')"
        found[f"records on {host}"] = rows(state / "agent.db", query)
    found["processes"] = {each.pid: _is_stopped(each.pid) for each in instances(folder)}
    for name, haproxy in fleet.haproxies.items():
        lines = [line.split() for line in haproxy.ask("show servers state").splitlines()]
        # backend, server, administrative state, weight
        found[name] = [(x[1], x[3], x[6], x[7]) for x in lines if len(x) > 8 and x[0] != "#"]
        found[f"{name} after a reload"] = _content(haproxy.state_file)
    return found


def rows(path: Path, query: str) -> list[Any]:
    """Return what a SQLite file answers, sorted."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return sorted(connection.execute(query).fetchall(), key=repr)


def _ledger(path: Path) -> dict[str, list[Any]]:
    if not path.exists():
        return {}
    tables = rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")
    found = {name: rows(path, f"SELECT * FROM {name}") for (name,) in tables}
    found["leases"] = rows(path, "SELECT * FROM leases WHERE holder IS NOT NULL")
    return found


def _tree(folder: Path) -> list[tuple[str, str]]:
    """Return paths with where links point to, or how large files are; logs grow by themselves."""
    return [
        (
            str(path.relative_to(folder)),
            str(path.readlink()) if path.is_symlink() else str(path.is_file() and _size(path)),
        )
        for path in sorted(folder.rglob("*"))
        if "outgoing" not in path.parts
    ]


def _size(path: Path) -> int:
    return 0 if path.name.startswith("service.log") else path.stat().st_size


def _content(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
