"""One tick of ``ansible-playbook foreshadow.core.evaluate`` for a whole fleet.

Its resources, 10,000 or FORESHADOW_RESOURCES of them, have one metric each, of five minutes and two
weeks, which a stand-in of Prometheus serves on loopback from a process of its own. What the tick
before left is made by the same use case, a step earlier: metrics fetched, models fitted, decisions
recorded. Then the playbook is run as a schedule runs it, and its wall time is the figure.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foreshadow.domain.clock import WallTime
from foreshadow.operations.context import Connection, Context, open_context
from foreshadow.operations.evaluate import evaluate
from foreshadow.operations.registry import register_hosts, register_resources
from foreshadow.wire.clock import system_time
from tests.bench.metrics_server import name_of
from tests.bench.table import Row, report

RESOURCES = int(os.environ.get("FORESHADOW_RESOURCES", "10000"))
HOSTS = 100
STEP = 300.0
MOST_SECONDS = 60.0
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


def main() -> None:
    """Register, evaluate once, then time the playbook at the next tick and report."""
    with tempfile.TemporaryDirectory(prefix="fs-evaluate-") as name, _server() as url:
        folder = Path(name)
        ledger = f"sqlite:///{folder / 'ledger.db'}"
        registering = _timed(lambda: _with(ledger, 0.0, lambda context: _register(context, url)))
        first = _timed(lambda: _with(ledger, STEP, evaluate))
        before = _spent(url)
        busy = _busy()
        tick = _timed(lambda: _play(ledger, folder))
        busy = _busy() - busy
        spent = {key: value - before[key] for key, value in _spent(url).items()}
        rows = [
            Row(f"tick of {RESOURCES} resources", tick, "s", MOST_SECONDS, tick <= MOST_SECONDS),
            Row("CPU of the playbook and its modules", busy, "s"),
            Row("seconds in which the metrics' server was at work", spent["seconds"], "s"),
            Row("samples that it served", spent["samples"], ""),
            Row("requests", spent["requests"], ""),
            Row("registering them", registering, "s"),
            Row("first evaluation, with two weeks of history", first, "s"),
            Row("ledger", (folder / "ledger.db").stat().st_size / 1e6, "MB"),
        ]
    report("evaluate", rows)


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench.metrics_server", str(RESOURCES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def _spent(url: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{url}/spent", timeout=60) as answer:
        found: dict[str, float] = json.load(answer)
    return found


def _with(ledger: str, earlier: float, run: Any) -> None:
    """Run a use case as if it were some seconds earlier."""
    with open_context(Connection(ledger), lambda: WallTime(system_time() - earlier)) as context:
        run(context)


def _register(context: Context, url: str) -> None:
    hosts = [
        {"name": f"h{k}", "address": "127.0.0.1", "capacity": {"cpu": 64}} for k in range(HOSTS)
    ]
    register_hosts(context, hosts).apply()
    source = {"kind": "prometheus", "url": url, "timeout": "10m"}
    defaults = {
        "service": {"command": ["serve"], "port": 80},
        "metrics": {
            "sources": [source],
            "step": STEP,
            "utilization": {"query": "max by (resource) (load)", "unit": "ratio"},
        },
    }
    specs = [{"name": name_of(row), "primary": f"h{row % HOSTS}"} for row in range(RESOURCES)]
    register_resources(context, specs, defaults).apply()


def _play(ledger: str, folder: Path) -> None:
    settings = {
        **os.environ,
        "FORESHADOW_LEDGER": ledger,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [str(PLAYBOOK), "-i", "localhost,", "foreshadow.core.evaluate"]
    with (folder / "said").open("w+") as said:
        ran = subprocess.run(command, env=settings, stdout=said, stderr=subprocess.STDOUT)
        said.seek(0)
        text = said.read()
    if ran.returncode or text.count(": stay") < RESOURCES:
        sys.exit(f"bench-evaluate: the playbook did not decide about everything:\n{text[-2000:]}")


def _busy() -> float:
    """Return the CPU seconds of all processes that were waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _timed(run: Any) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
