"""Handovers by name on real servers: what clients lose, how long they take, who wins a race.

300 requests/s by clients that resolve through unbound and keep an answer for its TTL, of 5 s;
nothing is ever repeated. A server that is not installed is left out, and said. Names of kinds as
arguments measure only those.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.table import Row, report
from tests.support.dns_daemons import KINDS, missing
from tests.support.dns_race import patient, race
from tests.support.dns_trial import trial
from tests.support.dns_world import running_dns

RATE = 300.0
MOVES = 20
ACTORS = 16
RACES = 20


def rows(kinds: Sequence[str]) -> list[Row]:
    """Measure on each kind of server that is installed."""
    found = []
    for kind in kinds:
        if lacking := missing(kind):
            print(f"{kind}: not installed: {lacking}")
            continue
        with tempfile.TemporaryDirectory(prefix="fs-dns-") as folder:
            result = trial(Path(folder), kind, MOVES, RATE)
        print("\n".join(result.seen.errors[:10]))
        limit = result.ttl + 5.0
        failed, asked = len(result.seen.errors), result.seen.ok + len(result.seen.errors)
        longest, apart = max(result.seconds), max(result.apart)
        found += [
            Row(f"{kind}: requests", asked, "count"),
            Row(f"{kind}: rate that was kept", result.rate, "1/s", RATE, result.rate >= 285),
            Row(f"{kind}: failed", failed, "count", 0, failed == 0),
            Row(f"{kind}: served by a deactivated primary", result.by_deactivated, "count", 0,
                result.by_deactivated == 0),
            Row(f"{kind}: record and clients apart, at most", apart, "s", 1.0, apart <= 1.0),
            Row(f"{kind}: switchover, median", median(result.seconds), "s"),
            Row(f"{kind}: switchover, longest", longest, "s", limit, longest <= limit),
        ]  # fmt: skip
    return [*found, *_races()]


def _races() -> list[Row]:
    single = told = 0
    with (
        tempfile.TemporaryDirectory(prefix="fs-dns-") as folder,
        running_dns(Path(folder)) as world,
    ):
        world.director("set-up").admit("edge-b", world.now(), token=1)
        for turn in range(RACES):
            options = patient(world.wells)
            actors = [world.director(f"actor-{i}", **options) for i in range(ACTORS)]
            result = race(actors, turn)
            single += len(result.winners) == 1
            told += sum(f"actor-{result.winners[0]} " in said for said in result.told)
    losers = RACES * (ACTORS - 1)
    return [
        Row(f"races of {ACTORS} that one alone won", single, "count", RACES, single == RACES),
        Row("losers that were told who", told, "count", losers, told == losers),
    ]


if __name__ == "__main__":
    report("dns", rows(sys.argv[1:] or list(KINDS)))
