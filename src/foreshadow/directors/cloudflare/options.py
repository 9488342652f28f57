"""What a person writes about a Cloudflare director, beside ``kind`` and ``targets``."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from foreshadow.directors.checks import CheckOptions
from foreshadow.directors.options import parsed, place
from foreshadow.domain.errors import AccessError, SpecError
from foreshadow.domain.near import unknown
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import Seconds

_HOSTNAME = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+"
                       r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # fmt: skip
AUTOMATIC = 1
"""As Cloudflare writes it: the TTL that it chooses itself."""
AUTOMATIC_SECONDS = 300.0


def _hostname(text: str) -> str:
    name = text.rstrip(".").lower()
    if not _HOSTNAME.fullmatch(name):
        raise ValueError(f"{text!r} is not a full name: write it with its zone, as www.example.com")
    return name


Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hostname = Annotated[str, AfterValidator(_hostname)]


class ApiOptions(BaseModel):
    """How to reach the API.

    :ivar token_file: whose content is the API token; read at each run, and never stored.
    :ivar token_env: or the environment variable that holds it.
    :ivar base_url: of the API.
    :ivar timeout: seconds that one call may take.
    :ivar deadline: seconds that one action may take, with all its repetitions and waiting.
    :ivar propagation: after how many seconds a change has reached all of Cloudflare's servers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_file: str | None = None
    token_env: str | None = None
    base_url: Annotated[str, Field(pattern=r"^https?://")] = "https://api.cloudflare.com/client/v4"
    timeout: Annotated[Seconds, Field(gt=0)] = 10.0
    deadline: Annotated[Seconds, Field(gt=0)] = 60.0
    propagation: Seconds = 5.0

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if (self.token_file is None) == (self.token_env is None):
            raise ValueError("name exactly one of token_file and token_env")
        return self

    def token(self, where: str) -> str:
        """Return the API token.

        :raises AccessError: when it is not there; it never shows what is.
        """
        if self.token_env is not None:
            found = os.environ.get(self.token_env, "")
            place = f"the environment variable {self.token_env}"
        else:
            place = f"the file {self.token_file}"
            try:
                found = Path(str(self.token_file)).expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                said = error.strerror if isinstance(error, OSError) else "it is not text"
                raise AccessError(
                    f"{place} cannot be read: {said}", where=where, remedy="put an API token there"
                ) from None
        if not re.fullmatch(r"[\x21-\x7e]+", found.strip()):
            raise AccessError(f"{place} holds no API token", where=where, remedy="put one there")
        return found.strip()

    def token_place(self) -> str:
        """Return where the token is, for a person."""
        return self.token_env or str(self.token_file)


class DnsOptions(ApiOptions):
    """The records of one name.

    :ivar zone_id: of the zone; its overview page shows it.
    :ivar name: the full one, whose A, AAAA or CNAME records lead to the service.
    :ivar check: how a host shows that it is well, for Cloudflare's DNS answers without looking.
    :ivar ttl: of the records, in seconds; 1 is Cloudflare's choice. A proxied record has no other.
    :ivar armed_ttl: the TTL while a move is ahead.
    :ivar proxied: clients get Cloudflare's addresses, so that nothing of ours is cached by them.
    :ivar admit_timeout: how long a host may take to pass its check.
    :ivar resolvers: caching resolvers that clients use, which are asked about a change.
    """

    zone_id: Identifier
    name: Hostname
    check: CheckOptions
    ttl: Annotated[Seconds, Field(ge=1, le=86400, multiple_of=1)] = AUTOMATIC
    armed_ttl: Annotated[Seconds, Field(ge=30, le=86400, multiple_of=1)] = 60.0
    proxied: bool = False
    admit_timeout: Seconds = 10.0
    resolvers: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ttl_fits(self) -> Self:
        if AUTOMATIC < self.ttl < 30:
            raise ValueError(
                "no plan allows a ttl below 30 s: write 60 or more, or 1 for automatic"
            )
        if self.proxied and self.ttl != AUTOMATIC:
            raise ValueError("a proxied record has no ttl of its own: leave ttl out")
        if self.proxied and self.resolvers:
            raise ValueError(
                "resolvers are told Cloudflare's addresses of a proxied record: leave resolvers out"
            )
        return self


class LbOptions(ApiOptions):
    """Load balancer pools that hold the same origins.

    :ivar account_id: of the account that the pools belong to.
    :ivar pools: their ids.
    :ivar admit_timeout: how long an origin may take to pass the checks of the pool's monitor.
    """

    account_id: Identifier
    pools: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    admit_timeout: Seconds = 180.0

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.pools)) != len(self.pools):
            raise ValueError("the same pool is named twice: name each once")
        return self


Chosen = TypeVar("Chosen", bound=ApiOptions)


def parse_options(model: type[Chosen], spec: DirectorSpec, resource: str) -> Chosen:
    """Return the options of a director.

    :raises SpecError: in one line, with the key and the way out.
    """
    options = parsed(model, spec, resource)
    if not spec.targets:
        where = f"{place(spec, resource)}, targets"
        raise SpecError("is required", where=where, remedy="name the target of each host")
    return options


def target(spec: DirectorSpec, host: str, where: str) -> str:
    """Return the target of a host.

    :raises UnknownNameError: when it has none.
    """
    if host not in spec.targets:
        raise unknown("target for host", host, spec.targets, where=where)
    return spec.targets[host]


def record_data(spec: DirectorSpec, resource: str) -> dict[str, dict[str, str]]:
    """Return, by host, the content of its records by their type.

    A target is an address, two of them (IPv4 and IPv6) with a comma between, or a name.

    :raises SpecError: when one is neither, or two hosts have one in common.
    """
    found: dict[str, dict[str, str]] = {}
    seen: dict[tuple[str, str], str] = {}
    for host, written in spec.targets.items():
        where = f"{place(spec, resource)}, targets.{host}"
        data = found[host] = _data(written, where)
        for one in data.items():
            if one in seen:
                raise SpecError(
                    f"{one[1]} is also the target of {seen[one]}",
                    where=where,
                    remedy="give each host an address of its own",
                )
            seen[one] = host
    return found


def _data(written: str, where: str) -> dict[str, str]:
    parts = [part.strip() for part in written.split(",")]
    data: dict[str, str] = {}
    for part in parts:
        kind, content = _record(part, where)
        if kind in data or (len(parts) > 1 and kind == "CNAME"):
            raise SpecError(
                f"{written!r} is more than one IPv4 and one IPv6 address",
                where=where,
                remedy="give at most one of each, or a name by itself",
            )
        data[kind] = content
    return data


def _record(part: str, where: str) -> tuple[str, str]:
    try:
        address = ipaddress.ip_address(part)
    except ValueError:
        try:
            return "CNAME", _hostname(part)
        except ValueError:
            raise SpecError(
                f"{part!r} is neither an address nor a full name",
                where=where,
                remedy="write 192.0.2.11, 2001:db8::11 or origin.example.net",
            ) from None
    return ("A" if address.version == 4 else "AAAA"), str(address)
