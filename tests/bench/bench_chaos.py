"""Everything that can break, broken at every instruction of a switchover, one cell at a time.

``python -m tests.bench.bench_chaos [--shard K/N] [--cell STEP/MOMENT/TARGET/FAULT] [--minutes M]
[--rate R] [--seed S]``. Cells are taken in an order that the seed shuffles, so that a part of them
is spread over all of them; what did not fit into the time is counted as not run. Through make:
``make bench-chaos CHAOS='--shard 1/8'``.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.table import FOLDER, Row, report
from tests.support.chaos import FAULTS, STEPS, TARGETS, Cell, Result, every_cell, running_chaos


def chosen(arguments: argparse.Namespace) -> list[Cell]:
    """Return the cells to run."""
    if arguments.cell:
        return [Cell(*one.split("/")) for one in arguments.cell]
    cells = every_cell()
    random.Random(arguments.seed).shuffle(cells)
    number, shards = (int(part) for part in arguments.shard.split("/"))
    return cells[number - 1 :: shards]


def run(cells: Sequence[Cell], rate: float, seconds: float) -> list[Result]:
    """Run cells until the time is over."""
    results: list[Result] = []
    end = time.monotonic() + seconds
    left = list(cells)
    while left and time.monotonic() < end:
        with (
            tempfile.TemporaryDirectory(prefix="fs-chaos-") as folder,
            running_chaos(Path(folder), rate) as chaos,
        ):
            while left and time.monotonic() < end:
                results.append(chaos.run(left.pop(0)))
                told = results[-1]
                print(
                    f"{told.cell}: {told.outcome}, {told.requests} requests, {told.failed} failed, "
                    f"{told.held} held, {told.seconds:.1f} s {'; '.join(told.problems)}",
                    flush=True,
                )
                if told.problems:
                    break  # the next cell begins in a world that is known to be well
    return results


def matrix(results: Sequence[Result]) -> str:
    """Return the matrix: for each step, target and fault, cells that are well of those that ran."""
    ran: Counter[tuple[str, str, str]] = Counter()
    well: Counter[tuple[str, str, str]] = Counter()
    for one in results:
        key = (one.cell.step, one.cell.target, one.cell.fault)
        ran[key] += 1
        well[key] += not one.problems
    head = [f"{target[:6]}:{fault}" for target in TARGETS for fault in FAULTS]
    lines = [" " * 10 + " ".join(column.rjust(12) for column in head)]
    for step in STEPS:
        keys = [(step, target, fault) for target in TARGETS for fault in FAULTS]
        told = [f"{well[key]}/{ran[key]}" if ran[key] else "-" for key in keys]
        lines.append(step.ljust(10) + " ".join(text.rjust(12) for text in told))
    return "\n".join(lines)


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--cell", action="append", default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cells = chosen(arguments)
    results = run(cells, arguments.rate, arguments.minutes * 60)
    print(matrix(results))
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [{**vars(one), "cell": str(one.cell)} for one in results]
    (FOLDER / "chaos-cells.json").write_text(json.dumps(rows, indent=1) + "\n")
    bad = sum(bool(one.problems) for one in results)
    failed = sum(one.failed for one in results)
    report("chaos", [
        Row("cells of the enumeration", len(every_cell()), "count"),
        Row("cells chosen", len(cells), "count"),
        Row("cells that ran", len(results), "count"),
        Row("cells that did not converge or lost requests", bad, "count", 0.0, bad == 0),
        Row("requests", sum(one.requests for one in results), "count"),
        Row("failed requests", failed, "count", 0.0, failed == 0),
        Row("lost with the HAProxy that held them", sum(one.held for one in results), "count"),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
