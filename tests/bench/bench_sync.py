"""State sync against rsync: two agents over mutual TLS, on sets of what changes in a state.

Each data set is sent as a whole first, then from its old state to its new one, in turn by ours and
by an rsync daemon with and without compression, all with fsync; medians of the rounds. The bytes
are those of the link between two network namespaces, both ways, headers included; the seconds of
ours are those of one call of a controller. ``SYNC_SETS`` and ``SYNC_ROUNDS`` choose less.
"""

from __future__ import annotations

import filecmp
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil

from foreshadow.domain.fleet import Host
from tests.bench import rsync, two_hosts
from tests.bench.rsync import Cost, Peer
from tests.bench.sync_sets import FIRST, NOTHING, NOTHING_BYTES, TARGETS, Target, data_set
from tests.bench.table import Row, report
from tests.bench.two_hosts import FAR, NEAR, Link
from tests.integration.sync_fleet import Fleet
from tests.unit.sync.trees import look

ROUNDS = int(os.environ.get("SYNC_ROUNDS", "5"))
SETS = os.environ.get("SYNC_SETS", ",".join(TARGETS)).split(",")
WARM = 2
"""Rounds that are not counted: what counts is what it goes on at, every few seconds."""
MOST_MEMORY = 256 * 2**20

Costs = dict[str, list[Cost]]
"""By who sent: ``ours``, ``rsync -z``, ``rsync``."""


class Agents(Fleet):
    """An agent at each end of the link."""

    def __init__(self, folder: Path, link: Link) -> None:
        super().__init__(folder)
        self._link = link
        self.hosts = {
            "edge-a": Host(name="edge-a", address=NEAR, port=7001),
            "edge-b": Host(name="edge-b", address=FAR, port=7002),
        }

    def command(self, name: str, command: list[str]) -> list[str]:
        return self._link.there(command) if name == "edge-b" else command

    def send(self) -> Cost:
        """Run one round; memory is the most that either agent held meanwhile."""
        agents = [psutil.Process(process.pid) for process in self.processes.values()]
        for agent in agents:
            Path(f"/proc/{agent.pid}/clear_refs").write_text("5")
        spent = sum(sum(agent.cpu_times()[:2]) for agent in agents)
        before, began = self._link.traffic(), time.perf_counter()
        (result,) = self.sync().results
        seconds = time.perf_counter() - began
        assert result.ok, result.error
        # The call of the controller does not cross the link: it is made at the near end.
        return Cost(
            self._link.traffic() - before,
            seconds,
            sum(sum(agent.cpu_times()[:2]) for agent in agents) - spent,
            max(_peak(agent.pid) for agent in agents),
        )


def rows() -> list[Row]:
    """Measure every data set."""
    made: list[Row] = []
    with two_hosts.link() as link:
        for name in SETS:
            made += _measured(name, link)
    return made


def _measured(name: str, link: Link) -> list[Row]:
    data = data_set(name)
    old, new = data / "v0", data / "v1"
    with _both(link) as (agents, peer):
        live = (agents.resource("edge-a") / "live").resolve()
        first: Costs = {}
        changed: Costs = {}
        nothing: Costs = {}
        rsync.place(old, live)
        _each(first, agents, peer, old, peer.folder)
        edited = _edited(data)
        for number in range(WARM + ROUNDS):
            _place(old, live, edited, 2 * number)
            agents.send()
            _place(new, live, edited, 2 * number + 1)
            if number < WARM:
                agents.send()
                continue
            _each(changed, agents, peer, new, old)
            _check(agents)
            if name in NOTHING:
                _each(nothing, agents, peer, new, new)
    made = _rows(name, changed, TARGETS[name])
    if name in NOTHING:
        made += _rows(f"{name}, nothing changed", nothing, NOTHING[name])
        most = max(cost.bytes for cost in nothing["ours"])
        made.append(Row(f"{name}, nothing changed, bytes at most", most, "bytes",
                        target=NOTHING_BYTES, holds=most <= NOTHING_BYTES))  # fmt: skip
    return made + _rows(f"{name}, first time", first, FIRST.get(name, Target()))


def _edited(data: Path) -> Path | None:
    """Return the largest file of which a set changes the content, relative to its trees."""
    old, new = data / "v0", data / "v1"
    files = (path.relative_to(new) for path in new.rglob("*") if path.is_file())
    both = [path for path in files if (old / path).is_file()]
    edited = (path for path in both if not filecmp.cmp(old / path, new / path, shallow=False))
    return max(edited, key=lambda path: (new / path).stat().st_size, default=None)


def _place(tree: Path, live: Path, edited: Path | None, number: int) -> None:
    """Make the state equal to a tree, but for eight bytes that no other round has.

    A content that both agents know from a round before would not be sent at all.
    """
    rsync.place(tree, live)
    if edited is not None:
        with (live / edited).open("r+b") as stream:
            stream.seek((live / edited).stat().st_size // 3)
            stream.write(number.to_bytes(8, "big"))


def _each(costs: Costs, agents: Agents, peer: Peer, source: Path, before: Path) -> None:
    """Send to each destination; ``before`` is what the peer's holds until then."""
    costs.setdefault("ours", []).append(agents.send())
    for way, packed in (("rsync -z", True), ("rsync", False)):
        if before != peer.folder:
            rsync.place(before, peer.folder)
        costs.setdefault(way, []).append(peer.send(source, packed=packed))
        if before == peer.folder:  # the first time: it holds nothing
            break


def _check(agents: Agents) -> None:
    live, current = agents.resource("edge-a") / "live", agents.resource("edge-b") / "current"
    assert look(live.resolve()) == look(current.resolve()), "the shadow is not equal"


def _rows(name: str, costs: Costs, target: Target) -> list[Row]:
    made = []
    for unit, most in (("bytes", target.bytes), ("seconds", target.wall), ("cpu", None)):
        ours, peer = (median(getattr(c, unit) for c in costs[way]) for way in ("ours", "rsync -z"))
        ratio = ours / peer if peer else 0.0
        holds = None if most is None else ratio <= most
        made.append(Row(f"{name}, {unit}", ours, "s" if unit != "bytes" else unit, peer=peer))
        made.append(Row(f"{name}, {unit} / rsync -z", ratio, "", target=most, holds=holds))
        if "rsync" in costs:
            plain = median(getattr(cost, unit) for cost in costs["rsync"])
            made.append(Row(f"{name}, {unit} of rsync without -z", plain, "", peer=plain))
    memory = max(cost.rss for cost in costs["ours"])
    holds = memory <= MOST_MEMORY
    made.append(Row(f"{name}, most memory of an agent", memory / 2**20, "MiB",
                    target=MOST_MEMORY / 2**20, holds=holds))  # fmt: skip
    return made


@contextmanager
def _both(link: Link) -> Iterator[tuple[Agents, Peer]]:
    with tempfile.TemporaryDirectory(prefix="bench-sync-", dir=os.environ.get("TMPDIR")) as scratch:
        folder = Path(scratch)
        agents = Agents(folder, link)
        try:
            for name in agents.hosts:
                agents.start(name)
            for name in agents.hosts:
                agents.wait(name)
            state = [{"kind": "files", "path": "{state}"}]
            agents.place(agents.spec(state=state))
            with rsync.daemon(folder, link) as peer:
                yield agents, peer
        finally:
            agents.stop()


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    if rsync.missing():
        sys.exit("rsync is missing on this machine: install it to compare with")
    two_hosts.enter()
    report("sync", rows())
