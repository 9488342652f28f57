"""A switch by playbook: ours, and the same one with community modules, in turn on one machine.

Both are watched from outside by the same observer: when the shadow woke, when the last request
left that the old primary answered, what each HAProxy was told and when. ``[100]``, no soak.
``python -m tests.bench.bench_peer [--rounds N]``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import yaml

from tests.bench.peer import Peer, ansible_playbook, defaults, running_peer
from tests.bench.table import Row, report
from tests.support.agents import instances
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.modules import COLLECTIONS
from tests.support.watch import Seen, Wanted, watching

RATE = 150.0
OURS = Path(sys.executable).with_name("ansible-playbook")


@dataclass
class Run:
    """One switch by playbook.

    :ivar wall: seconds of the whole ``ansible-playbook``.
    :ivar moved: seconds from the waking of the shadow to the last request on the old primary.
    :ivar after_start: the same, from the start of ``ansible-playbook``.
    """

    wall: float
    moved: float
    after_start: float
    failed: int
    seen: Seen = field(repr=False)


def run(command: Sequence[str], environment: dict[str, str], wanted: Wanted, source: str) -> Run:
    """Run one playbook under the observer's eyes.

    :raises SystemExit: when it fails, with what it said.
    """
    with watching(wanted) as watch:
        time.sleep(0.3)
        began = time.monotonic()
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        wall = time.monotonic() - began
        time.sleep(0.3)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    seen = watch.seen
    moved_at = seen.moved_at(source)
    return Run(wall, moved_at - seen.woke_at, moved_at - began, seen.failed, seen)


def ours(fleet: Fleet, folder: Path) -> Run:
    """Move the resource with the collection's playbook."""
    known = fleet.connection
    inventory = folder / "inventory.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"vars": {
            "foreshadow_ledger": known.ledger, "foreshadow_ca": known.ca,
            "foreshadow_cert": known.cert, "foreshadow_key": known.key,
        }}})
    )  # fmt: skip
    here = fleet.ledger.primary(NAME)
    there = "edge-b" if here == "edge-a" else "edge-a"
    fleet.wait_for_state(there)
    (shadow,) = instances(fleet.agents.state_dir(there))
    command = [str(OURS), "-i", str(inventory), "foreshadow.core.switchover",
               "-e", f"foreshadow_resource={NAME}", "-e", f"foreshadow_to={there}"]  # fmt: skip
    environment = {**defaults(folder), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    return run(command, environment, Wanted(fleet.fronts, RATE, {}, shadow.pid), here)


def theirs(peer: Peer) -> Run:
    """Move the traffic with the peer's playbook."""
    wanted = Wanted(peer.pair.fronts, RATE, {}, peer.sleeper)
    done = run(peer.command(), peer.environment(), wanted, peer.here)
    peer.here = peer.there
    return done


def compared(name: str, ours: Sequence[float], peer: Sequence[float], most: float | None) -> Row:
    """Return the medians side by side; ``most`` is the share of the peer's that is aimed at."""
    mine = median(ours)
    if not peer:
        return Row(name, mine, "s")
    other = median(peer)
    target = None if most is None else other * most
    return Row(name, mine, "s", target, None if target is None else mine <= target, other)


def rows(rounds: int) -> list[Row]:
    """Measure in turn."""
    program = ansible_playbook()
    mine: list[Run] = []
    peers: list[Run] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fs-bench-")))
        policy = {"steps": [100], "soak": "0s"}
        fleet = stack.enter_context(running_fleet(folder, policy=policy))
        peer = None if program is None else stack.enter_context(running_peer(program))
        for _ in range(rounds + 1):  # the first one only fills caches
            mine.append(ours(fleet, folder))
            if peer is not None:
                peers.append(theirs(peer))
    for one in (*mine, *peers):
        print(f"wall {one.wall:.2f} s, moved {1000 * one.moved:.0f} ms after waking, "
              f"{one.after_start:.2f} s after the start, {one.failed} failed")  # fmt: skip
    mine, peers = mine[1:], peers[1:]
    failed = sum(one.failed for one in mine)
    return [
        compared("playbook, wall", [r.wall for r in mine], [r.wall for r in peers], 1 / 4),
        compared("all new requests moved, after the shadow woke", [r.moved for r in mine],
                 [r.moved for r in peers], 1 / 20),
        compared("all new requests moved, after the playbook's start",
                 [r.after_start for r in mine], [r.after_start for r in peers], None),
        Row("failed requests", failed, "count", 0.0, failed == 0,
            sum(one.failed for one in peers) if peers else None),
    ]  # fmt: skip


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    report("peer", rows(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
