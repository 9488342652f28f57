"""Which changes of server lines make weights so: pure, and in the order that loses nothing."""

from __future__ import annotations

from collections.abc import Mapping

from foreshadow.directors.haproxy_view import View, has_traffic, is_up
from foreshadow.wire.gen import agent_pb2 as pb

_KEEP_WEIGHT = -1


def rising(view: View, wanted: Mapping[str, int]) -> list[pb.HaproxyChange]:
    """Return the changes that give traffic: by themselves, nobody else is left without."""
    changes = []
    for host, weight in wanted.items():
        line = view.line(host)
        if line is not None and (not has_traffic(line) or line.weight < weight):
            changes.append(change(line, "ready", weight))
    return changes


def falling(view: View, wanted: Mapping[str, int]) -> list[pb.HaproxyChange]:
    """Return the changes that take traffic away, each safety net before its host."""
    changes: list[pb.HaproxyChange] = []
    for host in view.hosts():
        line, net = view.line(host), view.net(host)
        if line is None:
            continue
        if host in wanted:
            changes += to_maint(net)
            if line.weight > wanted[host]:
                changes.append(change(line, "ready", wanted[host]))
        elif line.admin_state == "ready":
            if net is not None and is_up(line):
                changes.append(change(net, "ready"))
            changes.append(change(line, "drain"))
    return changes


def to_maint(line: pb.HaproxyServer | None) -> list[pb.HaproxyChange]:
    """Return what takes a line out of traffic and checks, if it is there and not out already."""
    return [] if line is None or line.admin_state == "maint" else [change(line, "maint")]


def change(
    line: pb.HaproxyServer, admin_state: str, weight: int = _KEEP_WEIGHT
) -> pb.HaproxyChange:
    """Return one change of a line; without a weight it keeps the one that it has."""
    return pb.HaproxyChange(server=line.name, admin_state=admin_state, weight=weight)


def evicting(line: pb.HaproxyServer) -> list[pb.HaproxyChange]:
    """Return what ends the requests that a line has open, when it is down and has any."""
    if is_up(line) or not line.sessions + line.queued:
        return []
    return [pb.HaproxyChange(server=line.name, weight=_KEEP_WEIGHT, evict=True)]
