"""What one HAProxy shows of a backend, told in hosts instead of server lines."""

from __future__ import annotations

from dataclasses import dataclass

from foreshadow.directors.weights import percentages
from foreshadow.domain.clock import WallTime
from foreshadow.domain.protocols import Endpoint, Served
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.gen import agent_pb2 as pb

_PRECISION = 0.003
"""Seconds: the latency is the sum of three whole milliseconds."""

NET = "-net"
"""Ends the name of a host's second line, a ``backup``: the safety net while it is being left."""


def is_up(line: pb.HaproxyServer) -> bool:
    """Return whether HAProxy takes the server for well, in or out of traffic."""
    return line.status.startswith(("UP", "DRAIN", "no check"))


def has_traffic(line: pb.HaproxyServer) -> bool:
    """Return whether the load balancing sends new requests to this line."""
    return line.admin_state == "ready" and line.weight > 0 and is_up(line) and not line.backup


@dataclass(frozen=True)
class View:
    """One HAProxy's reply about the backend of a resource.

    :ivar name: the endpoint's.
    :ivar spec: the director's; it maps hosts to server lines.
    """

    name: str
    spec: DirectorSpec
    reply: pb.HaproxyReply

    def line(self, host: str) -> pb.HaproxyServer | None:
        """Return the server line of a host."""
        return self._named(self.spec.target(host))

    def net(self, host: str) -> pb.HaproxyServer | None:
        """Return the backup line of a host, where the configuration has one."""
        found = self._named(self.spec.target(host) + NET)
        return found if found is not None and found.backup else None

    def hosts(self) -> list[str]:
        """Return the hosts of all lines that are not backups."""
        return [self._host(line.name) for line in self.reply.servers if not line.backup]

    def weights(self) -> dict[str, int]:
        """Return where new requests go, as percentages by host; who gets none is absent."""
        shares = {self._host(s.name): s.weight for s in self.reply.servers if has_traffic(s)}
        net = self._saving_net()
        return percentages(shares) if net is None else {self._host(net.name): 100}

    def told(self) -> dict[str, int]:
        """Return where new requests would go if every server were up, as percentages by host."""
        ready = [s for s in self.reply.servers if s.admin_state == "ready" and not s.backup]
        return percentages({self._host(line.name): line.weight for line in ready})

    def in_flight(self, host: str) -> int:
        """Return the requests that this HAProxy has open or queued for a host."""
        lines = [line for line in (self.line(host), self.net(host)) if line is not None]
        return sum(line.sessions + line.queued for line in lines)

    def endpoint(self) -> Endpoint:
        """Return the reply as every director tells it."""
        passed = [line for line in self.reply.servers if line.checked_at and not line.backup]
        return Endpoint(
            name=self.name,
            weights=self.weights(),
            checked={self._host(line.name): WallTime(line.checked_at) for line in passed},
            in_flight={host: self.in_flight(host) for host in self.hosts()},
            drift=self._drift(),
            served={self._host(line.name): self._served(line) for line in self._counting()},
        )

    def _counting(self) -> list[pb.HaproxyServer]:
        """Return the lines that have counted anything; in TCP mode none does."""
        return [line for line in self.reply.servers if line.requests and not line.backup]

    def _served(self, line: pb.HaproxyServer) -> Served:
        return Served(
            epoch=self.reply.pid,
            requests=line.requests,
            failed=line.failed,
            answered=line.answered,
            latency=line.latency,
            slowest=line.slowest,
            precision=_PRECISION,
        )

    def _drift(self) -> str:
        net = self._saving_net()
        return "" if net is None else f"the safety net {net.name} carries the traffic"

    def _saving_net(self) -> pb.HaproxyServer | None:
        """Return the backup line that HAProxy uses now, because no other line is up."""
        if any(has_traffic(line) for line in self.reply.servers):
            return None
        backups = (line for line in self.reply.servers if line.backup)
        return next((s for s in backups if s.admin_state == "ready" and is_up(s)), None)

    def _host(self, line: str) -> str:
        target = line.removesuffix(NET)
        return next((host for host, name in self.spec.targets.items() if name == target), target)

    def _named(self, name: str) -> pb.HaproxyServer | None:
        return next((line for line in self.reply.servers if line.name == name), None)
