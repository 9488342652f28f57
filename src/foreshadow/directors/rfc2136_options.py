"""What a person writes about a director on standard DNS, beside ``kind`` and ``targets``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import dns.exception
import dns.name
import dns.rdata
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from foreshadow.directors.checks import CheckOptions
from foreshadow.directors.options import parsed, place
from foreshadow.domain.errors import SpecError
from foreshadow.domain.spec import DirectorSpec
from foreshadow.domain.units import Seconds

DNS_PORT = 53

_Time = Annotated[Seconds, Field(gt=0)]
_Ttl = Annotated[Seconds, Field(ge=1, le=2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Server:
    """A DNS server: its address and port."""

    address: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        if self.port == DNS_PORT:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else str_of(self)


def str_of(server: Server) -> str:
    """Return ``address:port``."""
    return f"{server.address}:{server.port}"


def parse_server(value: object) -> Server:
    """Return the server for ``192.0.2.1``, ``192.0.2.1:5300``, ``2001:db8::1`` or ``[…]:5300``.

    :raises ValueError: when it is none of these.
    """
    if isinstance(value, Server):
        return value
    text = str(value).strip()
    address, port = text, str(DNS_PORT)
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        address, port = text.split(":")
    try:
        found = Server(str(ipaddress.ip_address(address)), int(port))
    except ValueError:
        found = Server("", 0)
    if not 0 < found.port < 65536:
        raise ValueError(f"{text!r} is no server: write an address, as 192.0.2.1 or 192.0.2.1:5300")
    return found


def _name(value: object) -> str:
    try:
        return dns.name.from_text(str(value)).to_text()
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError(f"{value!r} is no domain name: write one such as example.org") from None


_Server = Annotated[Server, BeforeValidator(parse_server)]
_DomainName = Annotated[str, BeforeValidator(_name)]


class KeyOptions(BaseModel):
    """The TSIG key that updates are signed with, and where its secret is: a file or a variable.

    Both may hold the secret alone, or a ``key`` clause as BIND and Knot's ``keymgr`` write it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _DomainName
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    file: Annotated[str, Field(pattern=r"^/")] | None = None
    environment: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.file is None) == (self.environment is None):
            raise ValueError("say where the secret is: name either file or environment")
        return self


class Rfc2136Options(BaseModel):
    """One record, who answers for it, and who may change it.

    :ivar server: takes the updates.
    :ivar servers: every other authoritative server of the zone.
    :ivar resolvers: caching resolvers that clients use, which are asked about the change.
    :ivar resolver_floor: the least TTL that resolvers out there are known to apply.
    :ivar armed_ttl: the TTL from when a move is forecast until it is over; ``null`` leaves it.
    :ivar propagation: how long the other servers may take to follow.
    :ivar admit_timeout: how long a host may take to pass its check.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zone: _DomainName
    name: _DomainName
    type: Literal["A", "AAAA", "CNAME"] = "A"
    server: _Server
    servers: tuple[_Server, ...] = ()
    resolvers: tuple[_Server, ...] = ()
    key: KeyOptions | None = None
    check: CheckOptions
    resolver_floor: Seconds = 0.0
    armed_ttl: _Ttl | None = 5.0
    propagation: _Time = 30.0
    admit_timeout: Seconds = 10.0
    timeout: _Time = 3.0

    @model_validator(mode="after")
    def _inside(self) -> Self:
        name, zone = dns.name.from_text(self.name), dns.name.from_text(self.zone)
        if not name.is_subdomain(zone):
            raise ValueError(
                f"{self.name} is not in the zone {self.zone}: write it in full, as www.{self.zone}"
            )
        if len(set(self.authorities)) != len(self.authorities):
            raise ValueError("the same server is named twice: name each authoritative server once")
        if self.armed_ttl is not None and self.armed_ttl != int(self.armed_ttl):
            raise ValueError("armed_ttl must be whole seconds: write such as 5s")
        return self

    @property
    def authorities(self) -> tuple[Server, ...]:
        """Return every authoritative server, the one that takes updates first."""
        return (self.server, *self.servers)


def parse_options(spec: DirectorSpec, resource: str) -> Rfc2136Options:
    """Return the options of a director, whose targets fit the record.

    :raises SpecError: in one line, with the key and the way out.
    """
    options, where = parsed(Rfc2136Options, spec, resource), place(spec, resource)
    data: dict[Any, str] = {}
    for host, target in spec.targets.items():
        read = read_target(options.type, target, f"{where}, targets.{host}")
        if read in data:
            raise SpecError(
                f"{host} and {data[read]} have the same target {target}",
                where=f"{where}, targets",
                remedy="give each host an address of its own",
            )
        data[read] = host
    if not data:
        raise SpecError(
            "is required", where=f"{where}, targets", remedy="give each host its record data"
        )
    return options


def read_target(kind: str, target: str, where: str) -> dns.rdata.Rdata:
    """Return the record data of a host.

    :raises SpecError: when it does not fit the type of the record.
    """
    text = target if kind != "CNAME" else _name(target)
    try:
        return dns.rdata.from_text("IN", kind, text)
    except (dns.exception.DNSException, ValueError):
        raise SpecError(
            f"{target!r} is no data of a record of type {kind}",
            where=where,
            remedy="write an address, or a name for CNAME",
        ) from None
