"""The peer of state sync: rsync in daemon mode, as a user would set it up."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench.two_hosts import FAR, Link

PORT = 8730
COMMON = ["-a", "--delete", "--no-whole-file", "--fsync"]
PACKED = ["-z", "--compress-choice=zstd"]


@dataclass(frozen=True)
class Cost:
    """What one transfer took: bytes on the link both ways, seconds, seconds of both processors."""

    bytes: float
    seconds: float
    cpu: float
    rss: float = 0.0


class Peer:
    """An rsync daemon at the other end of the link."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, link: Link) -> None:
        self._daemon = psutil.Process(process.pid)
        self.folder = folder
        self._link = link

    def send(self, source: Path, *, packed: bool) -> Cost:
        """Run rsync once from a tree to the daemon's."""
        options = [*COMMON, *(PACKED if packed else [])]
        command = ["rsync", *options, f"{source}/", f"rsync://{FAR}:{PORT}/state/"]
        before, cpu, began = self._link.traffic(), self._cpu(), time.perf_counter()
        client = subprocess.Popen(command)
        _, status, usage = os.wait4(client.pid, 0)
        seconds = time.perf_counter() - began
        client.returncode = os.waitstatus_to_exitcode(status)
        assert client.returncode == 0, command
        spent = usage.ru_utime + usage.ru_stime + self._cpu() - cpu
        return Cost(self._link.traffic() - before, seconds, spent, usage.ru_maxrss * 1024)

    def _cpu(self) -> float:
        """Return the seconds of the daemon and of its children that have ended."""
        return sum(self._daemon.cpu_times()[:4])


@contextmanager
def daemon(folder: Path, link: Link) -> Iterator[Peer]:
    """Serve a destination at the other end of the link."""
    destination = folder / "rsync"
    destination.mkdir()
    configuration = folder / "rsyncd.conf"
    configuration.write_text(
        f"use chroot = no\nreverse lookup = no\n[state]\npath = {destination}\n"
        f"read only = no\nuid = {os.getuid()}\ngid = {os.getgid()}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={configuration}",
               f"--address={FAR}", f"--port={PORT}"]  # fmt: skip
    process = subprocess.Popen(link.there(command))
    try:
        _until_answering()
        yield Peer(process, destination, link)
    finally:
        process.terminate()
        process.wait(10)


def place(source: Path, destination: Path) -> None:
    """Make a local tree equal to another, as somebody writes new files over old ones."""
    subprocess.run(["rsync", "-a", "--delete", f"{source}/", f"{destination}/"], check=True)


def missing() -> bool:
    """Return whether there is no rsync on this machine."""
    return shutil.which("rsync") is None


def _until_answering() -> None:
    deadline = time.monotonic() + 10
    probe = ["rsync", f"rsync://{FAR}:{PORT}/"]
    while time.monotonic() < deadline:
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError("rsync --daemon does not answer")
