"""What is left of a cell with problems, kept for who looks into it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from foreshadow.domain.errors import ForeshadowError
from tests.support.chaos.cells import Result
from tests.support.fleet import NAME, Fleet

_LAST_MOVES = 3


def keep_evidence(folder: Path, fleet: Fleet, result: Result) -> Path:
    """Write the journal, what agents and directors say, and the logs; return the folder."""
    kept = folder / result.cell.replace("/", "_")
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    told = {"result": result.plain(), "ledger": _ledger(fleet), "agents": _agents(fleet)}
    (kept / "evidence.json").write_text(json.dumps(told, indent=1, default=str) + "\n")
    for name, haproxy in fleet.haproxies.items():
        (kept / f"{name}.stat").write_text(_asked(haproxy.ask, "show stat -1 4 -1"))
        (kept / f"{name}.state").write_text(_asked(haproxy.ask, "show servers state"))
    for log in fleet.agents.folder.glob("*/agent.log"):
        shutil.copy(log, kept / f"{log.parent.name}.log")
    return kept


def _ledger(fleet: Fleet) -> dict[str, Any]:
    try:
        moves = fleet.ledger.switchovers(NAME)[:_LAST_MOVES]
        return {
            "primary": fleet.ledger.primary(NAME),
            "lease": fleet.ledger.lease(NAME),
            "instances": fleet.ledger.instances(NAME),
            "moves": [move.plain() for move in moves],
        }
    except ForeshadowError as error:
        return {"error": str(error)}


def _agents(fleet: Fleet) -> dict[str, str]:
    told = {}
    for name, host in fleet.agents.hosts.items():
        if not host.relay:
            try:
                told[name] = str(fleet.context.driver(name).get(NAME))
            except ForeshadowError as error:
                told[name] = str(error)
    return told


def _asked(ask: Any, command: str) -> str:
    try:
        return str(ask(command))
    except OSError as error:
        return str(error)
