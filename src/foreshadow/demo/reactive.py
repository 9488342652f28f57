"""The same hours without Foreshadow: an alarm, then a person who moves the service, cold.

What is done here is what is done where there is no Foreshadow. An alarm looks at the utilization
of the host, as CloudWatch's usual one does; somebody is paged and starts the move; the state is
copied, a new process is started and waited for, and the load balancers are pointed at it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from foreshadow.demo.world import (
    BALANCERS,
    EDGES,
    MARK,
    PORT,
    RESOURCE,
    THRESHOLD,
    World,
    haproxy_executable,
)
from foreshadow.domain.clock import MetricClock, MetricTime, WallTime

ALARM_PERIOD = 300.0
ALARM_PERIODS = 3
PERSON_SECONDS = 900.0
"""From the page to the start of the move, in metric time: read, look, decide, run the playbook."""

_WAIT_SECONDS = 20.0


class Operator:
    """Runs the service and its load balancers by hand, watches the alarm, and moves the service."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def set_up(self, host: str) -> None:
        """Start the service on a host, and the load balancers before it."""
        self._start(host, self._state(host))
        for balancer in BALANCERS:
            folder = self._world.folder / balancer / "haproxy"
            # The first configuration counts, not where Foreshadow left the traffic.
            (folder / "servers.state").unlink(missing_ok=True)
            self._run(haproxy_executable(), "-D", "-f", str(folder / "haproxy.cfg"))
        for front in self._world.fronts:
            await _wait_for(f"{front}/healthz")

    async def watch(
        self, utilization: Callable[[], Awaitable[float]], clock: MetricClock, until: MetricTime
    ) -> MetricTime | None:
        """Return when the alarm had fired and a person was there, or ``None`` by ``until``."""
        above = 0
        while clock.metric(WallTime(time.time())) < until:
            above = above + 1 if await utilization() > THRESHOLD else 0
            if above > ALARM_PERIODS:
                await asyncio.sleep(PERSON_SECONDS / clock.rate)
                return clock.metric(WallTime(time.time()))
            await asyncio.sleep(ALARM_PERIOD / clock.rate)
        return None

    async def move(self, source: str, destination: str) -> None:
        """Copy the state, start the service on another host, and point the balancers at it."""
        shutil.copytree(self._state(source), self._state(destination))
        self._start(destination, self._state(destination))
        await _wait_for(f"http://{self._world.addresses[destination]}:{PORT}/healthz")
        for balancer in BALANCERS:
            path = self._world.socket(balancer)
            _command(path, f"set server {RESOURCE}/{destination} state ready")
            _command(path, f"set server {RESOURCE}/{source} state maint")

    def _state(self, host: str) -> Path:
        return self._world.folder / "by-hand" / host

    def _start(self, host: str, state: Path) -> None:
        capacity = str(EDGES[host][1])
        self._run(
            sys.executable, "-m", "foreshadow.demo.service",
            "--listen", f"{self._world.addresses[host]}:{PORT}", "--data", str(state),
            FORESHADOW_HOST=host, FORESHADOW_CAPACITY_RATE=capacity,
        )  # fmt: skip

    def _run(self, *command: str, **environment: str) -> None:
        with (self._world.logs / "by-hand.log").open("ab") as log:
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, MARK: self._world.mark, **environment},
            )


async def _wait_for(url: str) -> None:
    async with asyncio.timeout(_WAIT_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    answer.raise_for_status()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


def _command(path: Path, line: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2.0)
        connection.connect(str(path))
        connection.sendall(f"{line}\n".encode())
        while connection.recv(4096):
            pass
