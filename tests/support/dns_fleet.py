"""A fleet whose service is found by name: agents, a service with its shadow, a record, a ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshadow.domain.spec import Mode, ResourceSpec, merged, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Context
from foreshadow.operations.switch_ports import ports
from foreshadow.wire.clock import system_time
from tests.support.agents import loopback, start_agents
from tests.support.fleet import NAME, PORT
from tests.support.service import COMMAND, ENVIRONMENT

HOSTS = ("edge-a", "edge-b")


@dataclass
class DnsFleet:
    """A running fleet with one resource, on ``edge-a`` at first.

    :ivar addresses: by host.
    """

    context: Context
    ledger: Ledger
    spec: ResourceSpec
    addresses: Mapping[str, str]


def addresses_of() -> dict[str, str]:
    """Return an address for each host."""
    return {host: loopback() for host in HOSTS}


@contextmanager
def running_dns_fleet(
    folder: Path, addresses: Mapping[str, str], director: Mapping[str, Any], **changes: Any
) -> Iterator[DnsFleet]:
    """Run it until the end of the block.

    :param director: the director's options, without check and targets.
    """
    raw = {
        "name": NAME,
        "primary": HOSTS[0],
        "service": {
            "command": [*COMMAND, "--listen", "{address}:{port}", "--state", "{state}",
                        "--name", "{host}"],
            "environment": ENVIRONMENT,
            "port": PORT,
            "health": {"path": "/healthz", "successes": 2},
            "drain": {"source": "service", "path": "/inflight", "timeout": "15s"},
        },
        "state": [{"kind": "files", "path": "{state}"}],
        "sync": {"interval": "2s", "max_staleness": "60s"},
        "directors": [
            {"kind": "rfc2136", "check": {"port": PORT, "path": "/healthz"},
             "targets": dict(addresses), **director}
        ],
        "policy": {"soak": 0},
    }  # fmt: skip
    spec = parse_resource(merged(raw, changes))
    wanted = {name: {"address": address} for name, address in addresses.items()}
    with (
        start_agents(folder, wanted) as agents,
        Ledger.open(f"sqlite:///{folder}/ledger.db") as ledger,
    ):
        context = Context(ledger, agents.access, system_time)
        for host in agents.hosts.values():
            ledger.put_host(host)
        ledger.put_resource(spec)
        writable = agents.resource(HOSTS[0], NAME) / "writable-0"
        writable.mkdir(parents=True)
        (writable / "settings").write_text("first")
        lease = ledger.acquire(NAME, "set-up", 60, lambda _: False)
        ledger.put_instance(context.driver(HOSTS[0]).adopt(spec, lease.token))
        ledger.put_instance(context.driver(HOSTS[1]).create(spec, Mode.WARM, lease.token))
        sync = ports(context, spec).sync
        ledger.acknowledge(sync.send(HOSTS[0], HOSTS[1], lease.token))
        sync.schedule(HOSTS[0], HOSTS[1:], lease.token)
        ledger.release(lease)
        yield DnsFleet(context, ledger, spec, addresses)
