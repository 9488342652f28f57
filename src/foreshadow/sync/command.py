"""Capture of ``command``: a hook of the service that prints a snapshot, kept as one file."""

from __future__ import annotations

import hashlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from foreshadow.domain.errors import SyncError
from foreshadow.domain.protocols import Findings, Found, Scene
from foreshadow.domain.units import Bytes, Seconds, format_duration, without_nul
from foreshadow.sync.options import read_options
from foreshadow.sync.places import one_file, scratch_files

_SLICE = 1 << 16
_LOOK = 0.1
"""Seconds between two looks at a command that prints nothing."""

_TAIL_BYTES = 4096
_TAIL_LINES = 3

Argument = Annotated[str, StringConstraints(min_length=1)]


class CommandOptions(BaseModel):
    """What to run, and what to keep.

    :ivar command: the program and its arguments; no shell reads them. ``{state}``, ``{address}``,
        ``{port}`` and ``{host}`` stand for what they do in the service's own command.
    :ivar path: of the file, below ``{state}`` of the shadow.
    :ivar timeout: seconds after which the command is killed.
    :ivar max_size: bytes that it may print.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[Argument, ...] = Field(min_length=1)
    path: str
    timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    max_size: Annotated[Bytes, Field(gt=0)] = 64 * 2**20

    @field_validator("command")
    @classmethod
    def _can_be_started(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(without_nul(argument) for argument in command)

    @field_validator("path")
    @classmethod
    def _one_file(cls, path: str) -> str:
        return one_file(path)


@dataclass(frozen=True, slots=True)
class _Printed:
    """What the last run printed: equal output is the same file, with its time."""

    file: Path
    digest: bytes


class CommandCapture:
    """Runs the command in each round, and keeps what it printed."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = read_options("command", options, CommandOptions)
        self._last: _Printed | None = None

    def capture(self, scene: Scene) -> Findings:
        """Run the command with the environment and the user of the service's hooks.

        :raises SpecError: when the agent may not become that user.
        :raises SyncError: when it fails, prints too much, or takes too long.
        """
        path = self._options.path
        file, draft = scratch_files(scene, path, "printed")
        try:
            with draft.open("wb") as out:
                draft.chmod(0o600)
                digest = self._run(scene, out)
            printed = _Printed(file, digest)
            unchanged = printed == self._last and file.exists()
            if not unchanged:
                draft.replace(file)
                self._last = printed
        finally:
            draft.unlink(missing_ok=True)
        found = (Found(path, str(file)),)
        return Findings(found, claims=frozenset({path}), unchanged=unchanged)

    def _run(self, scene: Scene, out: IO[bytes]) -> bytes:
        argv = [_filled(argument, scene.values) for argument in self._options.command]
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    **{**scene.popen(), "start_new_session": True},
                )
            except OSError as error:
                raise self._failed(f"cannot be run: {(error.strerror or '').lower()}") from None
            try:
                digest = self._keep(process, out)
                status = process.wait()
            finally:
                _end(process)
            if status != 0:
                how = f"ended with status {status}" if status > 0 else _killed(-status)
                raise self._failed(how + _last_lines(said))
        return digest

    def _keep(self, process: subprocess.Popen[bytes], out: IO[bytes]) -> bytes:
        """Keep what a command prints until it ends; return the hash of that.

        What it left running may hold its output open: nobody waits for that.
        """
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        descriptor = process.stdout.fileno()
        os.set_blocking(descriptor, False)
        deadline = time.monotonic() + self._options.timeout
        hasher, size = hashlib.sha256(), 0
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                ended = process.poll() is not None
                selector.select(0 if ended else _LOOK)
                data = _read(descriptor)
                if data:
                    hasher.update(data)
                    out.write(data)
                    size += len(data)
                if size > self._options.max_size:
                    raise self._failed(f"printed more than {self._options.max_size} bytes")
                if data == b"" or (data is None and ended):
                    break
                if time.monotonic() > deadline:
                    raise self._late()
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise self._late() from None
        return hasher.digest()

    def _late(self) -> SyncError:
        return self._failed(f"did not end within {format_duration(self._options.timeout)}")

    def _failed(self, problem: str) -> SyncError:
        return SyncError(
            f"{self._options.command[0]} {problem}",
            where="state of kind command",
            remedy="correct what it calls, or its timeout and max_size",
        )


def _read(descriptor: int) -> bytes | None:
    """Return what there is to read; nothing at the end, ``None`` when there may be more later."""
    try:
        return os.read(descriptor, _SLICE)
    except BlockingIOError:
        return None


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of a command that has not ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _killed(number: int) -> str:
    return f"was killed by {signal.Signals(number).name}"


def _last_lines(said: IO[bytes]) -> str:
    """Return the last lines that it wrote to its error output, in one line."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - _TAIL_BYTES))
    lines = said.read().decode(errors="replace").splitlines()
    kept = [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
    return f": {' | '.join(kept)}" if kept else ""
