"""What the background sync costs an agent when nothing changes: ten resources of 5,000 files each.

``python -m tests.bench.bench_sync_idle [--seconds N]``. Two agents over mutual TLS, a round each
five seconds. CPU is that of the primaries' agent and of the shadows', in seconds a minute: with
nothing scheduled, with the kernel telling that nothing changed (long enough for each tree to be
walked once all the same), and, as the peer, with a kernel that does not. About nine minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from foreshadow.domain.spec import ResourceSpec
from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2 as sync
from tests.bench.table import Row, report
from tests.integration.sync_fleet import Fleet, free_port, running, wait_for

RESOURCES = 10
FILES = 5000
INTERVAL = 5.0
SETTLE = 25.0
"""Seconds in which files that were just written are looked at again."""

NAMES = {"edge-a": "primaries", "edge-b": "shadows"}

LIMIT = 0.6
"""Seconds a minute: one hundredth of a core."""

SERVICE = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    server.accept()[0].close()
"""

WITHOUT_INOTIFY = """
import errno, inotify_simple
def refuse(*_):
    raise OSError(errno.EMFILE, "refused by the benchmark")
inotify_simple.INotify.__init__ = refuse
"""


def rows(seconds: float) -> list[Row]:
    """Measure, one after the other, on the same trees."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-idle-") as folder,
        running(Path(folder)) as fleet,
    ):
        specs = [_spec(fleet, number) for number in range(RESOURCES)]
        try:
            for spec in specs:
                _place(fleet, spec)
            unscheduled = _cpu(fleet, 60.0)
            for spec in specs:
                _fill(fleet.state("edge-a") / "resources" / spec.name / "live")
                _schedule(fleet, spec, INTERVAL)
            watched = _idle(fleet, specs, seconds)
            memory = psutil.Process(fleet.processes["edge-a"].pid).memory_info().rss
            fleet.preamble = WITHOUT_INOTIFY
            for name in NAMES:
                fleet.kill(name)
                fleet.start(name)
                fleet.wait(name)
            scanned = _idle(fleet, specs, 60.0)
        finally:
            _kill_services(fleet, specs)
    made = []
    for name, whose in NAMES.items():
        what = f"{RESOURCES} x {FILES} files, {INTERVAL:g} s, {whose}"
        idle, peer = watched[name], scanned[name]
        made += [
            Row(f"nothing scheduled, {whose}", unscheduled[name], "CPU s/min"),
            Row(what, idle, "CPU s/min", LIMIT, idle <= LIMIT, peer),
            Row(f"{what}, share of a core", idle / 60, "ratio", 0.01, idle <= LIMIT, peer / 60),
        ]
    return [*made, Row("memory of the primaries' agent", memory / 1e6, "MB")]


def _spec(fleet: Fleet, number: int) -> ResourceSpec:
    port = free_port(fleet.hosts["edge-a"].address)
    command = [sys.executable, "-c", SERVICE, "{address}", "{port}"]
    return fleet.spec(
        name=f"idle-{number}",
        service={"command": command, "port": port},
        state=[{"kind": "files", "path": "{state}"}],
        sync={"interval": INTERVAL},
    )


def _place(fleet: Fleet, spec: ResourceSpec) -> None:
    text = json.dumps(spec.plain())
    fence = agent.Fence(resource=spec.name, token=1)
    first, second = fleet.clients.values()
    first.call(first.agent.Adopt, agent.AdoptRequest(fence=fence, spec_json=text))
    request = agent.CreateRequest(fence=fence, spec_json=text, mode="cold")
    second.call(second.agent.Create, request)


def _fill(live: Path) -> None:
    for number in range(FILES):
        path = live / f"d{number % 50:02}" / f"file-{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}\n" * 40)


def _schedule(fleet: Fleet, spec: ResourceSpec, interval: float) -> None:
    client = fleet.clients["edge-a"]
    fence = agent.Fence(resource=spec.name, token=1)
    request = sync.ScheduleRequest(fence=fence, interval=interval, targets=fleet.targets())
    client.call(client.sync.Schedule, request)


def _captured_at(fleet: Fleet, spec: ResourceSpec) -> float:
    client = fleet.clients["edge-a"]
    status = client.call(client.sync.SyncStatus, agent.InstanceQuery(resource=spec.name))
    if not status.results or status.results[0].error:
        return 0.0
    captured: float = status.results[0].captured_at
    return captured


def _idle(fleet: Fleet, specs: list[ResourceSpec], seconds: float) -> dict[str, float]:
    """Return CPU seconds a minute, once all are in step; wait for a round that began meanwhile."""
    begun = time.time()
    wait_for(lambda: all(_captured_at(fleet, spec) > begun for spec in specs), 300)
    time.sleep(SETTLE)
    begun = time.time()
    cpu = _cpu(fleet, seconds)
    wait_for(lambda: all(_captured_at(fleet, spec) > begun for spec in specs), 300)
    return cpu


def _cpu(fleet: Fleet, seconds: float) -> dict[str, float]:
    before, began = _spent(fleet), time.monotonic()
    time.sleep(seconds)
    after, minutes = _spent(fleet), (time.monotonic() - began) / 60
    return {name: (after[name] - before[name]) / minutes for name in NAMES}


def _spent(fleet: Fleet) -> dict[str, float]:
    times = {name: psutil.Process(fleet.processes[name].pid).cpu_times() for name in NAMES}
    return {name: float(spent.user + spent.system) for name, spent in times.items()}


def _kill_services(fleet: Fleet, specs: list[ResourceSpec]) -> None:
    ports = {str(spec.service.port) for spec in specs}
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if SERVICE in command and ports & set(command):
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=360.0)
    report("sync-idle", rows(parser.parse_args().seconds))
