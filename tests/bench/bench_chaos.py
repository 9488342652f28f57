"""Everything that can break, broken at every instruction of a switchover, one cell at a time.

``python -m tests.bench.bench_chaos [--plan shift|pause] [--shard K/N]
[--cell PLAN/STEP/MOMENT/TARGET/FAULT]… [--minutes M] [--rate R] [--seed S] [--resume]``, and
``--random N`` for that many processes killed at random times of switchovers instead, or
``--stops`` for a controller that is asked to stop at every instruction.

Cells are taken in an order that the seed shuffles, plan by plan, so that a part of them is spread
over all of them; what did not fit into the time is counted as not run. Each that ran is at once in
``build/bench/chaos-cells.json``, which shards at work at the same time share; ``--resume`` leaves
out those that went well there, with the same rate or a higher one. What is left of one that did
not go well is kept in ``build/bench/chaos/``. Through make: ``make bench-chaos CHAOS='--resume'``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tests.bench.chaos_record import Record
from tests.bench.table import FOLDER, Row, report
from tests.support.chaos.cells import (
    FAULTS,
    STEPS,
    TARGETS,
    Cell,
    Strike,
    every_cell,
    every_stop,
    strikes,
)
from tests.support.chaos.runner import Arena

Rows = Sequence[dict[str, Any]]


def chosen(arguments: argparse.Namespace) -> Sequence[Cell | Strike]:
    """Return what is to run, the cells of one fleet after each other."""
    if arguments.cell:
        return [Cell.named(one) for one in arguments.cell]
    plans = [arguments.plan] if arguments.plan else list(STEPS)
    number, shards = (int(part) for part in arguments.shard.split("/"))
    if arguments.random:
        return [*strikes(arguments.random, arguments.seed, plans)][number - 1 :: shards]
    cells: list[Cell | Strike] = []
    for plan in plans:
        some = every_stop(plan) if arguments.stops else every_cell(plan)
        random.Random(arguments.seed).shuffle(some)
        cells += some[number - 1 :: shards]
    return cells


def run(todo: Iterable[Cell | Strike], record: Record, rate: float, seconds: float) -> None:
    """Run what is to run until the time is over, and put it on record."""
    end = time.monotonic() + seconds
    with Arena(rate, FOLDER / "chaos") as arena:
        for one in todo:
            if time.monotonic() >= end:
                return
            result = arena.run(one)
            record.put(result.plain())
            print(
                f"{result.cell}: {result.outcome[:70]}, {result.requests} requests "
                f"({result.rate:.0f}/s), {result.failed} failed, {result.held} held, "
                f"{result.seconds:.1f} s {'; '.join(result.problems)}",
                flush=True,
            )


def matrix(plan: str, rows: Rows) -> str:
    """Return the matrix: for each step, target and fault, cells that are well of those that ran."""
    ran: Counter[tuple[str, ...]] = Counter()
    well: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        cell = Cell.named(row["cell"])
        key = (cell.plan, cell.step, cell.target, cell.fault)
        ran[key] += 1
        well[key] += not row["problems"]
    head = [f"{target[:6]}:{fault}" for target in TARGETS for fault in FAULTS]
    lines = [plan.ljust(10) + " ".join(column.rjust(12) for column in head)]
    for step in STEPS[plan]:
        keys = [(plan, step, target, fault) for target in TARGETS for fault in FAULTS]
        told = [f"{well[key]}/{ran[key]}" if ran[key] else "-" for key in keys]
        lines.append(step.ljust(10) + " ".join(text.rjust(12) for text in told))
    return "\n".join(lines)


def figures(chosen_ones: int, rows: Rows) -> list[Row]:
    """Return the figures over what ran."""
    bad = sum(bool(row["problems"]) for row in rows)
    unreached = sum(not row["reached"] for row in rows)
    total: Counter[str] = Counter()
    for row in rows:
        for key in ("requests", "failed", "held", "posts", "refused", "unwritten", "late"):
            total[key] += row[key]
    rates = sorted(row["rate"] for row in rows) or [0.0]
    return [
        Row("cells of the enumeration", len(every_cell()), "count"),
        Row("chosen", chosen_ones, "count"),
        Row("ran", len(rows), "count", chosen_ones, len(rows) >= chosen_ones),
        Row("did not converge, or lost something", bad, "count", 0.0, bad == 0),
        Row("did not come to their instruction", unreached, "count", 0.0, unreached == 0),
        Row("requests", total["requests"], "count"),
        Row("requests in a second, median", rates[len(rates) // 2], "per_second"),
        Row("failed requests that may be asked twice", total["failed"], "count", 0.0,
            total["failed"] == 0),
        Row("lost with the HAProxy that held them", total["held"], "count"),
        Row("posts acknowledged", total["posts"], "count"),
        Row("posts without such an answer", total["refused"], "count"),
        Row("acknowledged writes lost", total["unwritten"], "count", 0.0,
            total["unwritten"] == 0),
        Row("seconds of a cell, mean",
            sum(row["seconds"] for row in rows) / max(len(rows), 1), "seconds"),
    ]  # fmt: skip


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", choices=list(STEPS))
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--cell", action="append", default=[])
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--stops", action="store_true")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    todo = chosen(arguments)
    record = Record(FOLDER / "chaos-cells.json")
    names = [str(one) for one in todo]
    if not arguments.resume:
        record.forget(names)
    done = record.well(arguments.rate)
    left = [one for one in todo if str(one) not in done]
    print(f"{len(todo)} chosen, {len(left)} to run", flush=True)
    run(left, record, arguments.rate, arguments.minutes * 60)
    rows = record.of(names)
    kind = "random" if arguments.random else "stops" if arguments.stops else ""
    if not kind:
        for plan in dict.fromkeys(one.plan for one in todo):
            print(matrix(plan, rows))
    report(f"chaos-{kind}" if kind else "chaos", figures(len(todo), rows))


if __name__ == "__main__":
    main()
