"""What a HAProxy shows, told in hosts; and which changes make weights so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.directors.haproxy_changes import falling, rising
from foreshadow.directors.haproxy_options import parse_options
from foreshadow.directors.haproxy_view import View, has_traffic
from foreshadow.directors.weights import checked_weights, percentages
from foreshadow.domain.errors import SpecError
from foreshadow.domain.spec import DirectorSpec
from foreshadow.wire.gen import agent_pb2 as pb

HOSTS = ("a", "b", "c")
STATES = ("ready", "drain", "maint")
ENDPOINTS = [{"agent": "lb-1", "socket": "/run/x.sock"}]


def line(
    name: str, admin_state: str = "ready", weight: int = 100, status: str = "", **more: Any
) -> pb.HaproxyServer:
    shown = {"ready": "UP", "drain": "DRAIN", "maint": "MAINT"}[admin_state]
    return pb.HaproxyServer(
        name=name, admin_state=admin_state, weight=weight, status=status or shown, **more
    )


def view(*lines: pb.HaproxyServer, targets: Mapping[str, str] | None = None) -> View:
    spec = DirectorSpec(kind="haproxy", targets=dict(targets or {}))
    return View("lb-1", spec, pb.HaproxyReply(servers=lines, pid=1))


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 256), max_size=8))
def test_percentages_sum_to_100_and_are_near(weights: dict[str, int]) -> None:
    shares = percentages(weights)
    total = sum(weights.values())
    assert sum(shares.values()) == (100 if total else 0)
    for name, share in shares.items():
        assert abs(share - weights[name] * 100 / total) < 1
        assert share > 0


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_percentages_that_are_some_stay_as_they_are(parts: list[int]) -> None:
    weights = percentages({str(i): part for i, part in enumerate(parts)})
    assert percentages(weights) == weights


def test_only_lines_that_are_ready_and_up_have_traffic() -> None:
    shown = view(
        line("a", weight=30),
        line("b", weight=10, status="UP 1/3"),
        line("c", "drain"),
        line("d", "maint"),
        line("e", status="DOWN 1/2"),
        line("f", weight=0),
        line("a-net", weight=1, backup=True),
    )
    assert shown.weights() == {"a": 75, "b": 25}
    assert shown.endpoint().drift == ""


def test_the_safety_net_is_told_when_it_carries_the_traffic() -> None:
    shown = view(line("a", "drain"), line("b", status="DOWN"), line("a-net", backup=True))
    assert shown.weights() == {"a": 100}
    assert "a-net" in shown.endpoint().drift
    assert view(line("a", "drain"), line("a-net", "maint", backup=True)).weights() == {}


def test_requests_on_the_safety_net_are_in_flight_too() -> None:
    shown = view(line("a", sessions=2, queued=1), line("a-net", sessions=4, backup=True), line("b"))
    assert shown.endpoint().in_flight == {"a": 7, "b": 0}


def test_targets_name_hosts() -> None:
    shown = view(line("s1", checked_at=5.0), line("s2", "drain"), targets={"edge-a": "s1"})
    assert shown.endpoint().weights == {"edge-a": 100}
    assert shown.endpoint().checked == {"edge-a": 5.0}
    assert shown.hosts() == ["edge-a", "s2"]
    found = shown.line("edge-a")
    assert found is not None
    assert found.name == "s1"
    assert shown.line("s1") == found  # not mapped to a line of its own, so a line's own name
    assert shown.line("edge-z") is None


def applied(before: View, changes: list[pb.HaproxyChange]) -> View:
    """Return what HAProxy would show after the changes, for servers that are well."""
    lines = []
    for old in before.reply.servers:
        new = pb.HaproxyServer()
        new.CopyFrom(old)
        for change in changes:
            if change.server == old.name:
                new.admin_state = change.admin_state or new.admin_state
                new.weight = change.weight if change.weight >= 0 else new.weight
        new.status = {"ready": "UP", "drain": "DRAIN", "maint": "MAINT"}[new.admin_state]
        lines.append(new)
    return View(before.name, before.spec, pb.HaproxyReply(servers=lines, pid=1))


@st.composite
def _worlds(draw: st.DrawFn) -> View:
    lines = [line(h, draw(st.sampled_from(STATES)), draw(st.integers(0, 256))) for h in HOSTS]
    nets = [line(f"{h}-net", draw(st.sampled_from(STATES)), 1, backup=True) for h in HOSTS]
    return view(*lines, *nets)


_wanted = st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any)


@given(_worlds(), _wanted)
def test_changes_lead_to_the_weights_and_never_through_nothing(
    before: View, parts: list[int]
) -> None:
    wanted = percentages(dict(zip(HOSTS, parts, strict=True)))
    with_traffic = {s.name for s in before.reply.servers if has_traffic(s)}
    rise = rising(before, wanted)
    raised = applied(before, rise)
    served = {s.name for s in raised.reply.servers if has_traffic(s)}
    assert served >= with_traffic | set(wanted)  # nobody lost anything yet

    fall = falling(raised, wanted)
    for count in range(len(fall) + 1):  # and with every single command somebody has traffic
        assert applied(raised, fall[:count]).weights()
    done = applied(raised, fall)
    assert done.weights() == wanted
    assert rising(done, wanted) == []
    assert falling(done, wanted) == []
    for host in HOSTS:
        net = done.net(host)
        assert net is not None
        if host in wanted:
            assert net.admin_state == "maint"
        elif host in with_traffic:
            assert net.admin_state == "ready"


@pytest.mark.parametrize(
    "weights", [{}, {"a": 99}, {"a": 101}, {"a": 110, "b": -10}, {"a": 0}, {"a": 50, "b": 49}]
)
def test_weights_that_are_no_percentages_are_refused(weights: dict[str, int]) -> None:
    with pytest.raises(SpecError):
        checked_weights(weights)


def test_hosts_without_a_share_are_left_out() -> None:
    assert checked_weights({"a": 100, "b": 0}) == {"a": 100}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endpoints": ENDPOINTS}, "backend: is required"),
        ({"endpoints": [], "backend": "x"}, "endpoints: "),
        ({"endpoints": ENDPOINTS * 2, "backend": "x"}, "named twice"),
        ({"endpoints": [{"agent": "lb-1", "socket": "x"}], "backend": "x"}, "socket"),
        ({"endpoints": ENDPOINTS, "backend": "x; show info"}, "backend: "),
        ({"endpoints": ENDPOINTS, "backend": "x", "bakend": "y"}, "bakend"),
        ({"endpoints": ENDPOINTS, "backend": "x", "admit_timeout": "soon"}, "admit_timeout"),
    ],
)
def test_malformed_options_are_told_in_one_line(options: dict[str, Any], told: str) -> None:
    spec = DirectorSpec.model_validate({"kind": "haproxy", **options})
    with pytest.raises(SpecError) as caught:
        parse_options(spec, "checkout")
    assert told in str(caught.value)
    assert str(caught.value).startswith("resource checkout, director haproxy")
    assert "\n" not in str(caught.value)


def test_endpoints_are_named_by_agent_and_socket_where_needed() -> None:
    endpoints = [
        {"agent": "lb-1", "socket": "/run/1.sock"},
        {"agent": "lb-1", "socket": "/run/2.sock"},
        {"agent": "lb-2", "socket": "/run/1.sock"},
    ]
    raw = {"kind": "haproxy", "endpoints": endpoints, "backend": "x"}
    options = parse_options(DirectorSpec.model_validate(raw), "checkout")
    names = [options.name(endpoint) for endpoint in options.endpoints]
    assert names == ["lb-1:/run/1.sock", "lb-1:/run/2.sock", "lb-2"]
