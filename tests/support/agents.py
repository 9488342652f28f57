"""Real agents as processes on loopback addresses, with certificates made for the occasion."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foreshadow.agent import processes
from foreshadow.domain.errors import UnknownNameError, UnreachableError
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.wire import pki
from foreshadow.wire.access import Access
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen.agent_pb2 import DescribeRequest

PORT = 7443
_NUMBERS = itertools.count(1)
_COMMAND = "import sys; from foreshadow.cli import main; sys.exit(main())"


def loopback() -> str:
    """Return a loopback address that no other test process, and no earlier call, has."""
    pid = os.getpid()
    return f"127.{16 + (pid >> 8) % 40}.{pid & 0xFF}.{1 + next(_NUMBERS) % 250}"


def foreshadow(*arguments: str | Path) -> list[str]:
    """Return the command line of ``foreshadow`` with these arguments."""
    return [sys.executable, "-c", _COMMAND, *map(str, arguments)]


@dataclass
class Agents:
    """Running agents.

    :ivar hosts: by name.
    :ivar credentials: of a controller.
    :ivar access: to all of them, as that controller.
    :ivar folder: with ``pki`` and, for each host, ``<host>/state`` and ``<host>/agent.log``.
    """

    hosts: dict[str, Host]
    credentials: Credentials
    access: Access
    folder: Path
    _commands: dict[str, list[str]] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def state_dir(self, name: str) -> Path:
        """Return the state folder of an agent."""
        return self.folder / name / "state"

    def resource(self, name: str, resource: str) -> Path:
        """Return the folder of a resource on a host."""
        return self.state_dir(name) / "resources" / resource

    def log(self, name: str) -> str:
        """Return what an agent has logged."""
        return (self.folder / name / "agent.log").read_text()

    def credentials_of(self, name: str) -> Credentials:
        """Return the certificate of an agent."""
        pem = self.folder / "pki" / f"agent-{name}.pem"
        return Credentials(self.credentials.ca, pem, pem.with_suffix(".key"))

    def start(self, name: str) -> None:
        """Start an agent that does not run; :meth:`wait` until it answers."""
        with (self.folder / name / "agent.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._commands[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def wait(self, name: str, seconds: float = 30.0) -> None:
        """Wait until an agent answers."""
        client = self.access.client(name)
        deadline = time.monotonic() + seconds
        while True:
            try:
                client.call(client.agent.Describe, DescribeRequest(), timeout=2.0)
                return
            except UnreachableError:
                status = self._processes[name].poll()
                if status is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"agent {name} ({status}): {self.log(name)}") from None
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill an agent with SIGKILL."""
        self._processes[name].kill()
        self._processes[name].wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send an agent a signal."""
        self._processes[name].send_signal(number)

    def stop(self, name: str) -> float:
        """Stop an agent with SIGTERM, and return the seconds that it took."""
        began = time.monotonic()
        self._processes[name].terminate()
        self._processes[name].wait(10)
        return time.monotonic() - began

    def restart(self, name: str) -> None:
        """Stop and start an agent, and wait until it answers."""
        self.stop(name)
        self.start(name)
        self.wait(name)

    def close(self) -> None:
        """End the agents, and whatever they started."""
        self.access.close()
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        end_instances(self.folder)


@contextmanager
def start_agents(folder: Path, wanted: Mapping[str, Mapping[str, Any]]) -> Iterator[Agents]:
    """Run an agent for each host, and end all of them, with their instances, at the end.

    :param wanted: by the name of the host: keys of :class:`Host` (``zone``, ``capacity``,
        ``labels``, ``groups``, ``relay``), and ``relay_sockets``, ``shared_machine`` (default
        true) and ``interval`` (between two samples) for the agent.
    """
    pki.init_authority(folder / "pki")
    controller = pki.issue(folder / "pki", "tests", "controller").credentials
    hosts: dict[str, Host] = {}
    commands: dict[str, list[str]] = {}
    for name, options in wanted.items():
        own = dict(options)
        sockets = own.pop("relay_sockets", [])
        shared, interval = own.pop("shared_machine", True), own.pop("interval", 1.0)
        host = parse_host(
            {"name": name, "address": loopback(), "port": PORT, "relay": bool(sockets), **own}
        )
        hosts[name] = host
        files = pki.issue(folder / "pki", name, "agent", [host.address]).credentials
        (folder / name).mkdir()
        commands[name] = foreshadow(
            "agent", "--host", name, "--listen", f"{host.address}:{host.port}",
            "--state-dir", folder / name / "state",
            "--ca", files.ca, "--cert", files.cert, "--key", files.key,
            "--sample-interval", str(interval),
            *(["--shared-machine"] if shared else []),
            *(part for path in sockets for part in ("--relay-socket", path)),
        )  # fmt: skip

    def host_named(name: str) -> Host:
        if name not in hosts:
            raise UnknownNameError("there is no such host", where=f"host {name}")
        return hosts[name]

    agents = Agents(hosts, controller, Access(host_named, controller), folder, commands)
    try:
        for name in hosts:
            agents.start(name)
        for name in hosts:
            agents.wait(name)
        yield agents
    finally:
        agents.close()


def instances(folder: Path) -> list[processes.Process]:
    """Return the processes of instances whose state lies below a folder."""
    return [
        process
        for process in processes.table()
        if processes.MARKER in (found := processes.environment(process.pid))
        and Path(found.get("FORESHADOW_STATE", "/")).is_relative_to(folder)
    ]


def end_instances(folder: Path) -> None:
    """Kill the processes of instances whose state lies below a folder."""
    deadline = time.monotonic() + 5
    while (left := instances(folder)) and time.monotonic() < deadline:
        for process in left:
            processes.send(process, signal.SIGKILL)
        time.sleep(0.02)
