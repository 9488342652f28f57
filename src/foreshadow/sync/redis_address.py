"""Where a Redis listens, and how to log in to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from foreshadow.domain.errors import SpecError

_PORT = 6379


@dataclass(frozen=True, slots=True)
class Address:
    """A server.

    :ivar socket: path of a Unix socket; empty when it listens on ``host`` and ``port``.
    :ivar database: number of the one that a sample is drawn from.
    """

    host: str
    port: int
    socket: str
    tls: bool
    database: int
    user: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, url: str, values: Mapping[str, str], user: str, password: str) -> Self:
        """Return the address that a URL names, with its placeholders filled in.

        :raises SpecError: when its port or database is no number.
        """
        for name, value in values.items():
            url = url.replace("{" + name + "}", value)
        parts = urlsplit(url)
        unix = parts.scheme == "unix"
        number = "" if unix else parts.path.strip("/")
        try:
            port = parts.port or _PORT
            database = int(number or 0)
        except ValueError:
            raise SpecError(
                f"{url} has a port or a database that is no number",
                where="state of kind redis",
                remedy="write redis://{address}:6379/0",
            ) from None
        return cls(
            host=parts.hostname or "127.0.0.1",
            port=port,
            socket=parts.path if unix else "",
            tls=parts.scheme == "rediss",
            database=database,
            user=user,
            password=password,
        )

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"
