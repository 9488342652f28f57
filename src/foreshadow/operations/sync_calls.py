"""What controllers ask the agent of a primary about state sync."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import BY_CODE, ForeshadowError, SyncError, UnreachableError
from foreshadow.domain.fleet import Acknowledged
from foreshadow.operations.context import Context
from foreshadow.wire.gen import agent_pb2 as agent
from foreshadow.wire.gen import sync_pb2 as pb

ROUND_SECONDS = 300.0
"""How long one round may take: a first one carries everything."""

TELL_SECONDS = 5.0
"""How long a shadow is waited for that is only to be told whom it follows."""


class SyncCalls:
    """The sync calls about one resource to the agent of one host."""

    def __init__(self, context: Context, resource: str, source: str) -> None:
        self._context = context
        self._resource = resource
        self._source = source
        self._client = context.access.client(source)
        self._peers: dict[str, agent.Peer] = {}

    def newest_token(self) -> int:
        """Return the newest fencing token of the resource, without taking its lease.

        Whoever made a shadow anew has given its lease back, and never told the source of its token.
        """
        query = agent.InstanceQuery(resource=self._resource)
        seen = self._client.call(self._client.agent.GetInstance, query).token
        return max(seen, self._context.ledger.newest_token(self._resource))

    def sources(self, hosts: Sequence[str]) -> dict[str, str]:
        """Return which host each of them takes state from; those that do not answer are absent."""
        query = agent.InstanceQuery(resource=self._resource)
        clients = [self._context.access.client(host) for host in hosts]
        asked = [client.begin(client.agent.GetInstance, query, TELL_SECONDS) for client in clients]
        seen = {}
        for host, reply in zip(hosts, asked, strict=True):
            with suppress(UnreachableError):
                seen[host] = reply().follows
        return seen

    def follow(self, hosts: Sequence[str], token: int) -> dict[str, ForeshadowError]:
        """Let each host take state from this source, and from no other.

        :return: by host, why it was not told.
        """
        request = agent.FollowRequest(fence=self._fence(token), source=self._source)
        clients = [self._context.access.client(host) for host in hosts]
        told = [client.begin(client.agent.Follow, request, TELL_SECONDS) for client in clients]
        failed: dict[str, ForeshadowError] = {}
        for host, reply in zip(hosts, told, strict=True):
            try:
                reply()
            except ForeshadowError as error:
                failed[host] = error
        return failed

    def round(self, hosts: Sequence[str], token: int, *, dry_run: bool = False) -> pb.SyncReply:
        """Run one round to each host now, or only ask what it would do."""
        request = pb.SyncRequest(
            fence=self._fence(token), targets=self._targets(hosts), dry_run=dry_run
        )
        return self._client.call(self._client.sync.SyncNow, request, ROUND_SECONDS)

    def final_round(self, host: str, token: int, seal_within: float, within: float) -> pb.SyncReply:
        """Seal the primary, and run the round to the host that is promoted next.

        :param seal_within: seconds that requests of the primary may take to end before.
        :param within: seconds that all of it may take.
        """
        request = pb.SyncRequest(
            fence=self._fence(token),
            targets=self._targets([host]),
            final=True,
            seal_within=seal_within,
        )
        return self._client.call(self._client.sync.SyncNow, request, within)

    def schedule(self, hosts: Sequence[str], interval: float, token: int) -> pb.SyncStatusReply:
        """Run rounds to these hosts every ``interval`` seconds; 0 ends that."""
        request = pb.ScheduleRequest(
            fence=self._fence(token), interval=interval, targets=self._targets(hosts)
        )
        return self._client.call(self._client.sync.Schedule, request)

    def status(self) -> pb.SyncStatusReply:
        """Return the schedule, and how the last round to each host ended."""
        query = agent.InstanceQuery(resource=self._resource)
        return self._client.call(self._client.sync.SyncStatus, query)

    def acknowledged(self, result: pb.SyncResult) -> Acknowledged | None:
        """Return what a host acknowledged last; ``None`` before the first time."""
        if not result.acknowledged_at or not result.root:
            return None
        return Acknowledged(
            resource=self._resource,
            host=result.host,
            version=result.version,
            root=result.root,
            captured_at=WallTime(result.captured_at),
            acknowledged_at=WallTime(result.acknowledged_at),
        )

    def _fence(self, token: int) -> agent.Fence:
        return agent.Fence(resource=self._resource, token=token)

    def _targets(self, hosts: Sequence[str]) -> list[pb.SyncTarget]:
        return [pb.SyncTarget(peer=self._peer(name)) for name in hosts]

    def _peer(self, name: str) -> agent.Peer:
        if name not in self._peers:
            host = self._context.ledger.host(name)
            self._peers[name] = agent.Peer(host=host.name, address=host.address, port=host.port)
        return self._peers[name]


def error_in(result: pb.SyncResult) -> ForeshadowError | None:
    """Return the error that a round to a host ended with; ``None`` when it went well."""
    if result.ok:
        return None
    return BY_CODE.get(result.error_code, SyncError)(result.error)
