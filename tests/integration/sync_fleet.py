"""Two real agents over mutual TLS: one with a primary, one with a cold shadow of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from foreshadow.domain.errors import ForeshadowError
from foreshadow.domain.fleet import Host
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.wire.client import AgentClient
from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2
from foreshadow.wire.pki import init_authority, issue

SERVICE = """
import http.server, os, sys, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"routes": [{"name": "buy", "rps": 3, "seconds": 0.02}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""

AGENT = "import sys; from foreshadow.cli import main; sys.exit(main())"


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


class Fleet:
    """Agents by host name, and clients of a controller to them."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ("edge-a", "edge-b")) -> None:
        self.folder = folder
        self.authority = folder / "pki"
        init_authority(self.authority)
        self.controller = issue(self.authority, "controller-1", "controller").credentials
        base = f"127.{os.getpid() >> 8 & 127 | 64}.{os.getpid() & 255}"
        self.hosts = {
            name: Host(name=name, address=f"{base}.{at}", port=free_port(f"{base}.{at}"))
            for at, name in enumerate(names, start=1)
        }
        self.port = free_port(f"{base}.1")
        self.preamble = ""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: dict[str, AgentClient] = {}

    def start(self, name: str) -> None:
        host = self.hosts[name]
        files = issue(self.authority, name, "agent", [host.address]).credentials
        command = [
            sys.executable, "-c", f"{self.preamble}{AGENT}",
            "agent", "--host", name, "--listen", f"{host.address}:{host.port}",
            "--state-dir", str(self.state(name)), "--shared-machine",
            "--ca", str(files.ca), "--cert", str(files.cert), "--key", str(files.key),
        ]  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(name, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.clients.setdefault(name, AgentClient(host, self.controller, 30.0))

    def command(self, name: str, command: list[str]) -> list[str]:
        """Return the command by which a host's agent is started."""
        return command

    def wait(self, name: str) -> None:
        client = self.clients[name]

        def answers() -> bool:
            with suppress(ForeshadowError):
                client.call(client.agent.Describe, agent.DescribeRequest())
                return True
            return False

        wait_for(answers, 60.0)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(20)

    def state(self, name: str) -> Path:
        return self.folder / name

    def resource(self, name: str) -> Path:
        return self.state(name) / "resources/shop"

    def spec(self, **changes: Any) -> ResourceSpec:
        raw = {
            "name": "shop",
            "primary": "edge-a",
            "service": {
                "command": [sys.executable, "-c", SERVICE, "{address}", "{port}"],
                "port": self.port,
                "profile": {
                    "url": "http://{address}:{port}/metrics.json",
                    "query": "routes[].{kind: name, rate: rps, latency: seconds}",
                },
            },
            "state": [{"kind": "files", "path": "{state}"}, {"kind": "profile"}],
            "sync": {"interval": 0.2, "max_staleness": 5},
        }
        return parse_resource(raw | changes)

    def place(self, spec: ResourceSpec | None = None, token: int = 1, *, told: bool = True) -> None:
        """Adopt the primary on the first host, and create a cold shadow on the others.

        :param told: name it the source of the others as well.
        """
        text = json.dumps((spec or self.spec()).plain())
        fence = agent.Fence(resource="shop", token=token)
        first, *others = self.clients.values()
        first.call(first.agent.Adopt, agent.AdoptRequest(fence=fence, spec_json=text))
        for client in others:
            request = agent.CreateRequest(fence=fence, spec_json=text, mode="cold")
            client.call(client.agent.Create, request)
        if told:
            self.follow("edge-a", *tuple(self.clients)[1:], token=token)

    def follow(self, source: str, *names: str, token: int = 1) -> None:
        """Name the source of shadows, as a controller does."""
        fence = agent.Fence(resource="shop", token=token)
        for name in names:
            client = self.clients[name]
            client.call(client.agent.Follow, agent.FollowRequest(fence=fence, source=source))

    def targets(self, *names: str) -> list[sync_pb2.SyncTarget]:
        hosts = [self.hosts[name] for name in names or tuple(self.hosts)[1:]]
        peers = [agent.Peer(host=h.name, address=h.address, port=h.port) for h in hosts]
        return [sync_pb2.SyncTarget(peer=peer) for peer in peers]

    def sync(
        self, source: str = "edge-a", *names: str, token: int = 1, dry_run: bool = False
    ) -> sync_pb2.SyncReply:
        client = self.clients[source]
        request = sync_pb2.SyncRequest(
            fence=agent.Fence(resource="shop", token=token),
            targets=self.targets(*names),
            dry_run=dry_run,
        )
        return client.call(client.sync.SyncNow, request, timeout=60)

    def schedule(self, interval: float, token: int = 1) -> sync_pb2.SyncStatusReply:
        client = self.clients["edge-a"]
        fence = agent.Fence(resource="shop", token=token)
        request = sync_pb2.ScheduleRequest(fence=fence, interval=interval, targets=self.targets())
        return client.call(client.sync.Schedule, request)

    def status(self, name: str = "edge-a") -> sync_pb2.SyncStatusReply:
        client = self.clients[name]
        return client.call(client.sync.SyncStatus, agent.InstanceQuery(resource="shop"))

    def stop(self) -> None:
        for client in self.clients.values():
            client.close()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(20)
        for left in psutil.process_iter(["cmdline"]):
            command = left.info["cmdline"] or []
            if str(self.port) in command and SERVICE in command:
                with suppress(psutil.NoSuchProcess):
                    left.kill()


@contextmanager
def running(folder: Path, names: tuple[str, ...] = ("edge-a", "edge-b")) -> Iterator[Fleet]:
    fleet = Fleet(folder, names)
    try:
        for name in names:
            fleet.start(name)
        for name in names:
            fleet.wait(name)
        yield fleet
    finally:
        fleet.stop()


def wait_for(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
