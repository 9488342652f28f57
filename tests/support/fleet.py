"""A whole fleet on loopback: agents, a pair of HAProxy, a service with its shadow, a ledger.

What stands here is what runs in life: the agents are processes of their own, the service is moved
by the operations that the modules call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.spec import Mode, ResourceSpec, merged, parse_resource
from foreshadow.ledger import Ledger
from foreshadow.operations.context import Connection, Context
from foreshadow.operations.switch_ports import ports
from foreshadow.operations.sync_calls import SyncCalls
from foreshadow.wire.clock import system_time
from tests.support.agents import Agents, instances, loopback, start_agents
from tests.support.haproxy import Haproxy, free_port, running_haproxy, service, wait_until
from tests.support.pair import fetch
from tests.support.proxies import Proxies
from tests.support.service import COMMAND, ENVIRONMENT

NAME = "checkout"
PORT = 8080
PROXIED = 7444
"""Where proxies stand before agents."""


@dataclass
class Fleet:
    """A running fleet with one resource.

    :ivar fronts: ``address:port`` of each load balancer, as clients use them.
    """

    agents: Agents
    haproxies: dict[str, Haproxy]
    fronts: list[str]
    ledger: Ledger
    connection: Connection
    context: Context
    spec: ResourceSpec
    hosts: tuple[str, ...] = ()

    def set_up(self, port: int | None = None) -> None:
        """Register everything, and start the service: the first host is the primary.

        :param port: of the agents, where controllers do not reach them at their own.
        """
        _set_up(self, self.hosts, port)

    def wait_for_state(self, to: str) -> None:
        """Wait until a host has acknowledged what the primary sends it: until then it is refused.

        A move that comes back at once would be too early for the new primary's first round.
        """
        sync = ports(self.context, self.spec).sync
        here = self.ledger.primary(NAME)
        wait_until(lambda: sync.standing(here, to) is not None, f"{to} to acknowledge state")

    def answers(self) -> list[str]:
        """Return which host answers at each load balancer."""
        return [fetch(f"http://{front}/").split()[0] for front in self.fronts]

    def settings(self, host: str) -> Path:
        """Return the file that the service on a host serves, as it is live there."""
        return self.agents.resource(host, NAME) / "live" / "settings"

    def assert_agreement(self, primary: str, shadows: Sequence[str]) -> None:
        """One primary; ledger, agents, directors and clients say the same."""
        assert self.ledger.unfinished() == ()
        assert self.ledger.primary(NAME) == primary
        seen = {name: self.context.driver(name).get(NAME) for name in (primary, *shadows)}
        for name, instance in seen.items():
            assert instance is not None
            wanted = (
                (Role.PRIMARY, RunState.RUNNING)
                if name == primary
                else (Role.SHADOW, RunState.FROZEN)
            )
            assert (instance.role, instance.state) == wanted, name
        for instance in self.ledger.instances(NAME):
            found = seen[instance.host]
            assert found is not None
            assert (instance.role, instance.state) == (found.role, found.state)
        followed = SyncCalls(self.context, NAME, primary).sources(shadows)
        assert followed == dict.fromkeys(shadows, primary)
        for director in self.context.directors(self.spec):
            for endpoint in director.read():
                assert endpoint.weights == {primary: 100}, endpoint.name
        assert self.answers() == [primary] * len(self.fronts)


def spec_of(
    sockets: Mapping[str, Path],
    primary: str,
    changes: Mapping[str, Any],
    outer: Sequence[Mapping[str, Any]] = (),
) -> ResourceSpec:
    """Return the resource as a person would write it."""
    raw = {
        "name": NAME,
        "primary": primary,
        "service": {
            "command": [*COMMAND, "--listen", "{address}:{port}", "--state", "{state}",
                        "--name", "{host}"],
            "environment": ENVIRONMENT,
            "port": PORT,
            "health": {"path": "/healthz", "successes": 3},
            "drain": {"source": "service", "path": "/inflight", "timeout": "15s"},
            "hooks": {"reload": ["sh", "-c", "kill -HUP $FORESHADOW_PID"]},
        },
        "state": [{"kind": "files", "path": "{state}"}],
        "sync": {"interval": "1s", "max_staleness": "30s"},
        "directors": [
            {
                "kind": "haproxy",
                "backend": NAME,
                "endpoints": [
                    {"agent": name, "socket": str(path)} for name, path in sockets.items()
                ],
            },
            *outer,
        ],
        "policy": {"steps": [50, 100], "soak": "300ms"},
    }  # fmt: skip
    return parse_resource(merged(raw, changes))


def signal_instance(fleet: Fleet, host: str, number: signal.Signals) -> None:
    """Send a signal to the processes of the service on a host."""
    for process in instances(fleet.agents.state_dir(host)):
        os.kill(process.pid, number)


@contextmanager
def running_fleet(
    folder: Path,
    hosts: Sequence[str] = ("edge-a", "edge-b"),
    *,
    bare: bool = False,
    ledger_url: str | None = None,
    proxies: Proxies | None = None,
    haproxy: Mapping[str, Any] | None = None,
    socket_of: Callable[[Path], Path] = lambda path: path,
    fronts: Sequence[str] = (),
    outer: Sequence[Mapping[str, Any]] = (),
    **changes: Any,
) -> Iterator[Fleet]:
    """Run a fleet until the end of the block: the first host is the primary, the others are warm.

    :param bare: only the agents and load balancers; nothing is registered or started on them.
    :param ledger_url: another ledger than one in SQLite in the folder.
    :param proxies: controllers reach agents, and agents each other and their HAProxy, through
        proxies of these names: each host, and ``haproxy-`` with each load balancer.
    :param haproxy: variables of the role ``haproxy``.
    :param socket_of: where agents find a HAProxy whose own socket is this one.
    :param fronts: where the load balancers are to listen; by default anywhere.
    :param outer: more directors, which lead to the load balancers.
    :param changes: laid over the resource's spec.
    """
    with ExitStack() as stack:
        addresses = {name: loopback() for name in hosts}
        servers = {name: f"{address}:{PORT}" for name, address in addresses.items()}
        haproxies: dict[str, Haproxy] = {}
        holds = bool(changes.get("policy", {}).get("pause_writes"))
        fronts = list(fronts) or [f"{at}:{free_port(at)}" for at in (loopback(), loopback())]
        for name, front in zip(("lb-1", "lb-2"), fronts, strict=True):
            entry = service(NAME, front, hosts[0], servers, hold=holds)
            haproxies[name] = stack.enter_context(running_haproxy([entry], **(haproxy or {})))
        wanted: dict[str, dict[str, Any]] = {
            name: {"address": address} for name, address in addresses.items()
        }
        sockets = {name: socket_of(haproxy.socket) for name, haproxy in haproxies.items()}
        if proxies is not None:
            sockets = {name: path.with_name("proxied.sock") for name, path in sockets.items()}
            for name, path in sockets.items():
                proxies.add(f"haproxy-{name}", path, haproxies[name].socket)
        wanted |= {name: {"relay_sockets": [path]} for name, path in sockets.items()}
        agents = stack.enter_context(start_agents(folder, wanted))
        if proxies is not None:
            for host in agents.hosts.values():
                proxies.add(host.name, (host.address, PROXIED), (host.address, host.port))
        spec = spec_of(sockets, hosts[0], changes, outer)
        credentials = agents.credentials
        connection = Connection(
            ledger_url or f"sqlite:///{folder}/ledger.db",
            str(credentials.ca),
            str(credentials.cert),
            str(credentials.key),
        )
        ledger = stack.enter_context(Ledger.open(str(connection.ledger)))
        context = Context(ledger, agents.access, system_time)
        fleet = Fleet(agents, haproxies, fronts, ledger, connection, context, spec, tuple(hosts))
        if not bare:
            fleet.set_up(None if proxies is None else PROXIED)
        yield fleet


def _set_up(fleet: Fleet, hosts: Sequence[str], port: int | None) -> None:
    ledger, context, spec = fleet.ledger, fleet.context, fleet.spec
    for host in fleet.agents.hosts.values():
        ledger.put_host(host.model_copy(update={"port": port or host.port}))
    ledger.put_resource(spec)
    writable = fleet.agents.resource(hosts[0], NAME) / "writable-0"
    writable.mkdir(parents=True)
    (writable / "settings").write_text("first")
    lease = ledger.acquire(NAME, "set-up", 60, lambda _: False)
    ledger.put_instance(context.driver(hosts[0]).adopt(spec, lease.token))
    for name in hosts[1:]:
        ledger.put_instance(context.driver(name).create(spec, Mode.WARM, lease.token))
    sync = ports(context, spec).sync
    for name in hosts[1:]:
        ledger.acknowledge(sync.send(hosts[0], name, lease.token))
    sync.schedule(hosts[0], hosts[1:], lease.token)
    ledger.release(lease)
    wait_until(lambda: fleet.answers() == [hosts[0]] * 2, "both load balancers to serve")
