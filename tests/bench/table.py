"""What every benchmark ends with: a table for people, and the same rows as JSON for machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

FOLDER = Path(__file__).parents[2] / "build/bench"


@dataclass(frozen=True)
class Row:
    """One figure.

    :ivar target: what it should reach; ``holds`` says whether it does. ``None`` when none is set.
    :ivar peer: the same figure of what people would use instead; ``None`` without one.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    holds: bool | None = None
    peer: float | None = None


def machine() -> str:
    """Return what the figures were measured on."""
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def report(name: str, rows: Sequence[Row]) -> None:
    """Print the rows, and write them to ``build/bench/<name>.json``."""
    content = {"rows": [asdict(row) for row in rows], "machine": machine()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    head = ["", "value", "unit", "target", "holds", "peer"]
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print(f"{name} on {machine()}")
    for first, *rest in lines:
        figures = "  ".join(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print(f"{first.ljust(widths[0])}  {figures}".rstrip())


def _cells(row: Row) -> list[str]:
    holds = "" if row.holds is None else "yes" if row.holds else "NO"
    return [row.name, _number(row.value), row.unit, _number(row.target), holds, _number(row.peer)]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"
