"""The data sets of the state-sync benchmark, made once, and what each is to reach."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.table import FOLDER

_ROOT = Path(__file__).parents[2]
_MAKER = "shared/bench/delta_datasets.py"


@dataclass(frozen=True)
class Target:
    """Highest ratios to ``rsync -z``; ``None`` where none is set."""

    bytes: float | None = None
    wall: float | None = None


TARGETS = {
    "a": Target(0.011, 0.40),
    "b": Target(0.245, 0.15),
    "c": Target(0.08, 0.60),
    "d": Target(0.024, 0.50),
    "e": Target(0.010, 0.50),
    "h": Target(0.77, 0.30),
    "i": Target(0.005, 0.20),
    "j": Target(0.00001, 0.12),
}
NOTHING = {"a": Target(wall=0.05), "b": Target(wall=0.30)}
NOTHING_BYTES = 400
FIRST = {"a": Target(0.70, 0.75), "b": Target(1.005, 1.25), "e": Target(1.005, 0.75)}


def data_set(name: str) -> Path:
    """Return the folder of a data set, which is made when it is not there.

    ``DELTA_DATASETS`` names a folder in which they are, or are to be made.
    """
    folder = Path(os.environ.get("DELTA_DATASETS", FOLDER / "delta"))
    if not (folder / name / "floor.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(_maker()), "--out", str(folder), "--only", name]
        subprocess.run(command, check=True)
    return folder / name


def _maker() -> Path:
    for above in _ROOT.parents:
        if (above / _MAKER).exists():
            return above / _MAKER
    sys.exit(
        f"{_MAKER} is not beside this checkout: set DELTA_DATASETS to a folder with its output"
    )
