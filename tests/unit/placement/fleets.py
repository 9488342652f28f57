"""Small fleets for the tests of placement."""

from __future__ import annotations

from typing import Any

from foreshadow.domain.fleet import Host, Instance, parse_host
from foreshadow.domain.spec import ResourceSpec, parse_resource
from foreshadow.placement.fleet import Fleet


def resource(name: str, primary: str, **keys: Any) -> ResourceSpec:
    service = {"command": ["serve"], "port": 8080}
    return parse_resource({"name": name, "primary": primary, "service": service, **keys})


def host(name: str, zone: str = "", rate: float | None = 100.0, **keys: Any) -> Host:
    limits = {"rate": rate} if rate else {}
    return parse_host(
        {"name": name, "address": "127.0.0.1", "zone": zone, "capacity": limits, **keys}
    )


def shadow(of: str, on: str, **keys: Any) -> Instance:
    return Instance(
        resource=of, host=on, role="shadow", mode="warm", state="frozen", address="127.0.0.1",
        port=1, **keys
    )  # fmt: skip


def fleet(
    hosts: list[Host],
    specs: list[ResourceSpec],
    peaks: dict[str, float] | None = None,
    **keys: Any,
) -> Fleet:
    """Return a fleet in which ``peaks`` are requests per second."""
    return Fleet(
        hosts=tuple(hosts),
        specs={spec.name: spec for spec in specs},
        primaries={spec.name: spec.primary for spec in specs},
        peaks={name: {"rate": value} for name, value in (peaks or {}).items()},
        **keys,
    )
