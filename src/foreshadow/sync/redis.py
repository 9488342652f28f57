"""Capture of ``redis``: all that a Redis holds, or a sample of it that stands for all."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from foreshadow.domain.errors import SpecError, SyncError
from foreshadow.domain.protocols import Findings, Found, Scene
from foreshadow.domain.units import Bytes, Seconds
from foreshadow.sync.options import read_options
from foreshadow.sync.places import one_file, scratch_files
from foreshadow.sync.redis_address import Address

if TYPE_CHECKING:
    from foreshadow.sync.redis_server import Mark, Server

_LONGEST_SECRET = 4096


class RedisOptions(BaseModel):
    """What to capture.

    :ivar url: ``redis://host:port/db``, ``rediss://…`` with TLS, or ``unix:///path``. ``{address}``
        and the others stand for what they do in the service's own command.
    :ivar path: of the file, below ``{state}`` of the shadow: an RDB file, or commands that
        ``redis-cli --pipe`` feeds to a Redis.
    :ivar mode: ``rdb`` takes everything at one moment, ``sample`` keys by how they are used.
    :ivar user: for a server with access control; needs ``password_file``.
    :ivar password_file: on the host, readable by the agent; a password has no place in a spec.
    :ivar timeout: seconds after which a capture is given up.
    :ivar max_size: bytes that an RDB may have, or to which a sample is cut.
    :ivar max_keys: keys from which a sample is drawn: more are not looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    path: str
    mode: Literal["rdb", "sample"] = "rdb"
    user: str = ""
    password_file: str = ""
    timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    max_size: Annotated[Bytes, Field(gt=0)] = 256 * 2**20
    max_keys: Annotated[int, Field(gt=0)] = 100_000

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("it is no address of a Redis: write redis://, rediss:// or unix://")
        if "@" in parts.netloc:
            raise ValueError("it has a login in it: use user and password_file")
        return url

    @field_validator("path")
    @classmethod
    def _one_file(cls, path: str) -> str:
        return one_file(path)


class RedisCapture:
    """Takes a Redis as a file; one in which nothing changed is not taken again."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = read_options("redis", options, RedisOptions)
        self._seen: Mark | None = None
        self._notes: tuple[str, ...] = ()

    def capture(self, scene: Scene) -> Findings:
        """Ask the server whether something changed, and take it if so.

        :raises SpecError: when the package ``redis`` is not installed.
        :raises SyncError: when the server cannot be reached, or it is more than ``max_size``.
        """
        options = self._options
        address = Address.of(options.url, scene.values, options.user, self._password())
        try:
            from foreshadow.sync import redis_server
        except ModuleNotFoundError as error:
            raise SpecError(
                f"kind redis needs the package {error.name}, which is not installed",
                where="state",
                remedy="install the extra redis of ansible-foreshadow where the agent runs",
            ) from None
        file, draft = scratch_files(scene, options.path, "redis")
        try:
            with redis_server.connected(address, options.timeout) as server:
                mark = server.mark()
                known = mark is not None and mark == self._seen and file.exists()
                unchanged = known and not scene.thorough
                if not unchanged:
                    self._seen = self._take(server, draft, mark)
                    unchanged = file.exists() and filecmp.cmp(file, draft, shallow=False)
                    if not unchanged:
                        draft.replace(file)
        except BaseException:
            self._seen = None
            raise
        finally:
            draft.unlink(missing_ok=True)
        found = (Found(options.path, str(file)),)
        return Findings(found, frozenset({options.path}), notes=self._notes, unchanged=unchanged)

    def _take(self, server: Server, draft: Path, mark: Mark | None) -> Mark | None:
        """Write it to a file; return the mark that the server has while nothing is changed."""
        options = self._options
        with draft.open("wb") as out:
            draft.chmod(0o600)
            if options.mode == "rdb":
                return server.dump(out, options.max_size)
            self._notes = server.sample(out, options.max_size, options.max_keys)
            return mark

    def _password(self) -> str:
        if not self._options.password_file:
            return ""
        try:
            with Path(self._options.password_file).open(encoding="utf-8") as file:
                return file.read(_LONGEST_SECRET).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SyncError(
                f"it cannot be read: {why}",
                where=f"password_file {self._options.password_file}",
                remedy="let the agent's user read it",
            ) from None
