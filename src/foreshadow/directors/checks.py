"""Checking a host directly, for directors whose servers do not: DNS answers without looking."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from foreshadow.domain.units import Seconds, format_duration


class CheckOptions(BaseModel):
    """How a host shows that it is well, at the address that clients are given.

    With ``path`` an HTTP request must be answered 2xx or 3xx; without, a connection is enough,
    which a frozen process passes too. ``tls`` asks over HTTPS, and wants a certificate for
    the record's name.

    :ivar ca_file: trusted instead of the system's certificates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: Annotated[int, Field(ge=1, le=65535)]
    path: Annotated[str, Field(pattern=r"^/")] | None = None
    tls: bool = False
    ca_file: str | None = None
    timeout: Annotated[Seconds, Field(gt=0)] = 2.0


_WILDCARD = re.compile(r"^(?:\*|\\052)\.")
"""The label of a wildcard, as people and as Route 53 write it: no host has that name."""


def failures(addresses: Mapping[str, str], check: CheckOptions, name: str) -> dict[str, str]:
    """Return by host why it does not pass, in one line; who passes is absent.

    All are asked at once.

    :param addresses: by host, an address or a name.
    :param name: the record's, which the service is asked for; some name of its own for a wildcard.
    """
    if not addresses:
        return {}
    with ThreadPoolExecutor(len(addresses)) as pool:
        said = pool.map(lambda address: failure(address, check, name), addresses.values())
        return {host: why for host, why in zip(addresses, said, strict=True) if why}


def failure(address: str, check: CheckOptions, name: str) -> str:
    """Return why a host does not pass its check now, in one line; empty when it does."""
    at = f"[{address}]:{check.port}" if ":" in address else f"{address}:{check.port}"
    name = _WILDCARD.sub("foreshadow.", name)
    try:
        with socket.create_connection((address, check.port), check.timeout) as plain:
            if check.path is None and not check.tls:
                return ""
            if not check.tls:
                return _asked(plain, check, name, at)
            context = ssl.create_default_context(cafile=check.ca_file)
            with context.wrap_socket(plain, server_hostname=name) as secured:
                return _asked(secured, check, name, at)
    except TimeoutError:
        return f"{at} does not answer within {format_duration(check.timeout)}"
    except (OSError, http.client.HTTPException) as error:
        return f"{at}: {' '.join(str(error).split()) or type(error).__name__}"


def _asked(connected: socket.socket, check: CheckOptions, name: str, at: str) -> str:
    if check.path is None:
        return ""
    connection = http.client.HTTPConnection(name, check.port, timeout=check.timeout)
    connection.sock = connected
    connection.request("GET", check.path, headers={"Connection": "close"})
    status = connection.getresponse().status
    return "" if 200 <= status < 400 else f"{at}{check.path} answers {status}"
