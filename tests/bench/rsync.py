"""The peer of state sync: rsync in daemon mode over loopback, as a user would set it up."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OPTIONS = ["-a", "-z", "--delete", "--no-whole-file", "--fsync", "--stats"]


@contextmanager
def daemon(folder: Path, destination: Path) -> Iterator[str | None]:
    """Serve a destination and give its address; ``None`` where there is no rsync."""
    if shutil.which("rsync") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    destination.mkdir()
    configuration = folder / "rsyncd.conf"
    configuration.write_text(
        f"use chroot = no\n[state]\npath = {destination}\nread only = no\nuid = {_user()}\n"
    )
    command = ["rsync", "--daemon", "--no-detach", f"--config={configuration}",
               "--address=127.0.0.1", f"--port={port}"]  # fmt: skip
    process = subprocess.Popen(command)
    try:
        _until_listening(port)
        yield f"rsync://127.0.0.1:{port}/state/"
    finally:
        process.terminate()
        process.wait(10)


def send(source: Path, address: str) -> tuple[int, float]:
    """Run rsync once; return the bytes both ways, and the seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        ["rsync", *OPTIONS, f"{source}/", address], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    counts = re.findall(r"^Total bytes (?:sent|received): ([\d,]+)$", done.stdout, re.MULTILINE)
    return sum(int(count.replace(",", "")) for count in counts), seconds


def _user() -> int:
    return Path("/proc/self").stat().st_uid


def _until_listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("rsync --daemon does not listen")
