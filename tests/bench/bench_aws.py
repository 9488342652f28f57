"""What tasks cost on AWS: requests and seconds, side by side with amazon.aws doing the same.

Both run as playbooks against the same cloud on loopback, in turn; a move goes there by ours, and
back by theirs. ``python -m tests.bench.bench_aws [--rounds N]``
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.aws_world import AwsWorld, running_world
from tests.bench.peer import ansible_playbook, defaults
from tests.bench.table import Row, report
from tests.support.haproxy import wait_until
from tests.support.modules import COLLECTIONS

TASKS = {"instance": 3, "weights": 3, "record": 2}
"""By task, how many requests it may make when all is as it should be."""
MOVE_SHARE = 1 / 3
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One playbook."""

    calls: int
    seconds: float


def run(
    world: AwsWorld, folder: Path, task: str, peer: Path | None = None, *, changed: bool = False
) -> Run:
    """Run one task by its tag, ours or the peer's.

    :param changed: what the recap has to say, for ours.
    :raises SystemExit: when it fails, or changes what it should not.
    """
    program = Path(sys.executable).with_name("ansible-playbook") if peer is None else peer
    extra = folder / "variables.json"
    python = {"ansible_python_interpreter": str(program.with_name("python"))}
    extra.write_text(json.dumps(world.variables() | python))
    environment = {**defaults(folder), "ANSIBLE_COLLECTIONS_PATH": str(folder)}
    if peer is None:
        given = {f"FORESHADOW_{key.upper()}": value for key, value in world.connection.items()}
        environment |= {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), **given}
    playbook = _HERE / ("aws_ours.yml" if peer is None else "aws_peer.yml")
    tagged = ["-e", f"@{extra}", "--tags", task]
    command: list[str | Path] = [program, "-i", "localhost,", playbook, *tagged]
    world.cloud.forget()
    began = time.monotonic()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=180
    )
    seconds = time.monotonic() - began
    told = "changed=0" not in done.stdout
    if done.returncode or (peer is None and told != changed):
        raise SystemExit(f"{playbook.name}, {task}:\n{done.stdout}{done.stderr}")
    print(f"{playbook.stem} {task}: {len(world.cloud.calls)} requests, {seconds:.2f} s, "
          f"{'changed' if told else 'unchanged'}")  # fmt: skip
    return Run(len(world.cloud.calls), seconds)


def move(world: AwsWorld, folder: Path, peer: Path | None = None) -> Run:
    """Move all traffic to the other host."""
    done = run(world, folder, "move", peer, changed=True)
    world.here = world.there
    return done


def rows(rounds: int) -> list[Row]:
    """Measure in turn."""
    peer = ansible_playbook()
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fs-aws-") as name:
        folder = Path(name)
        with running_world(folder) as world:
            for task, most in TASKS.items():
                found += _task(world, folder, task, most, rounds, peer)
            found += _moves(world, folder, rounds, peer)
    return found


def _task(
    world: AwsWorld, folder: Path, task: str, most: int, rounds: int, peer: Path | None
) -> list[Row]:
    pairs = [
        (run(world, folder, task), run(world, folder, task, peer) if peer else None)
        for _ in range(rounds + 1)
    ][1:]
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs if other]
    calls = max(one.calls for one in ours)
    return [
        Row(f"{task} as it should be: requests", calls, "count", most, calls <= most,
            _median([one.calls for one in theirs])),
        Row(f"{task} as it should be: playbook", median(one.seconds for one in ours), "s",
            peer=_median([one.seconds for one in theirs])),
    ]  # fmt: skip


def _moves(world: AwsWorld, folder: Path, rounds: int, peer: Path | None) -> list[Row]:
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(rounds + 1):
        ours.append(move(world, folder))
        if peer:
            # There and back by hand: no ledger knows of the peer's way.
            theirs.append(move(world, folder, peer))
            world.here = world.there
            _as_before(world)
    mine = median(one.seconds for one in ours[1:])
    other = _median([one.seconds for one in theirs[1:]])
    target = None if other is None else other * MOVE_SHARE
    return [
        Row("switchover by the load balancer: playbook", mine, "s", target,
            None if target is None else mine <= target, other),
        Row("switchover by the load balancer: requests", median(one.calls for one in ours[1:]),
            "count", peer=_median([one.calls for one in theirs[1:]])),
    ]  # fmt: skip


def _as_before(world: AwsWorld) -> None:
    """Undo the peer's move, of which no ledger knows."""
    balancer = world.balancer
    group, address = balancer.groups[world.here], world.agents.hosts[world.here].address
    balancer.client.register_targets(TargetGroupArn=group, Targets=[{"Id": address}])
    balancer.point({world.here: 100})
    wait_until(lambda: balancer.targets.state(group, address) == "healthy", "the target", 60.0)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    report("aws", rows(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
