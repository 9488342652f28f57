"""The source ``agents``, over clients that answer from memory."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from foreshadow.domain.clock import MetricClock, MetricTime, WallTime
from foreshadow.domain.errors import MetricsError, SpecError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.domain.series import Window
from foreshadow.metrics.agents import AgentsSource
from foreshadow.testing.metrics import DATA, SourceConformance
from foreshadow.wire.gen import agent_pb2

CLOCK = MetricClock(MetricTime(36000.0), WallTime(1000.0), 360.0)
WINDOW = Window(MetricTime(32400.0), MetricTime(43200.0), 3600.0)


class Recorded:
    """Agents by host, each with ``(wall time, value)`` of its primaries; ``None`` is silent."""

    def __init__(
        self, hosts: dict[str, list[tuple[float, float]] | None], relays: str = ""
    ) -> None:
        self.hosts = hosts
        self.relays = relays.split()
        self.requests: list[Any] = []

    def registered(self) -> list[Host]:
        return [Host(name=h, address="127.0.0.1", relay=h in self.relays) for h in self.hosts]

    def client(self, host: str) -> Any:
        def call(method: object, request: agent_pb2.SamplesRequest) -> agent_pb2.SamplesReply:
            self.requests.append((host, request))
            samples = self.hosts[host]
            if samples is None:
                raise UnreachableError("no answer", where=f"host {host}")
            kept = [(at, v) for at, v in samples if request.start < at <= request.end]
            reply = agent_pb2.Samples(resource="shop", at=[a for a, _ in kept],
                                      value=[v for _, v in kept])  # fmt: skip
            return agent_pb2.SamplesReply(samples=[reply])

        return SimpleNamespace(agent=SimpleNamespace(ReadSamples=None), call=call)


def fetch(agents: Recorded, query: str, named: Sequence[str] = ("shop",), **options: Any) -> Any:
    source = AgentsSource(options, CLOCK, agents)  # type: ignore[arg-type]
    return source.fetch(query, named, WINDOW)


def test_wall_time_becomes_metric_time_on_the_grid() -> None:
    # Ten wall seconds are an hour of the replay, which begins at wall time 1000.
    agents = Recorded({"a": [(1002.0, 10.0), (1008.0, 30.0), (1015.0, 50.0)]})
    series = fetch(agents, "rate")["shop"]
    assert series.times()[0] == 36000.0
    assert series.values[1:] == (20.0, 50.0)


def test_what_was_recorded_before_the_replay_began_is_not_asked_for() -> None:
    agents = Recorded({"a": [(995.0, 99.0), (1005.0, 10.0)]})
    series = fetch(agents, "rate")["shop"]
    assert series.last() == (39600.0, 10.0)
    assert series.present() == 1


def test_history_follows_the_service_and_rates_add_up_where_traffic_was_split() -> None:
    agents = Recorded({"a": [(1005.0, 10.0)], "b": [(1006.0, 4.0), (1015.0, 20.0)]})
    assert fetch(agents, "rate")["shop"].values[1:] == (14.0, 20.0)
    assert fetch(agents, "latency")["shop"].values[1:] == (10.0, 20.0)


def test_a_silent_agent_is_left_out_and_only_all_of_them_are_an_error() -> None:
    agents = Recorded({"a": None, "b": [(1005.0, 10.0)]})
    assert fetch(agents, "rate")["shop"].present() == 1
    with pytest.raises(MetricsError, match="no agent answers"):
        fetch(Recorded({"a": None, "b": None}), "rate")
    with pytest.raises(MetricsError, match="no agent to ask"):
        fetch(Recorded({}), "rate")


def test_balancers_are_asked_for_what_they_count_and_hosts_for_the_rest() -> None:
    agents = Recorded({"a": [], "lb": [(1005.0, 3.0)]}, relays="lb")
    assert fetch(agents, "haproxy_rate")["shop"].present() == 1
    assert fetch(agents, "rate") == {}
    assert [host for host, _ in agents.requests] == ["lb", "a"]
    assert fetch(agents, "rate", hosts=["lb"])["shop"].present() == 1


def test_resources_are_backends_for_what_balancers_count() -> None:
    agents = Recorded({"lb": [(1005.0, 3.0)]}, relays="lb")
    backends = {"checkout": "shop", "cart": "shop"}
    fetched = fetch(agents, "haproxy_rate", ["checkout", "cart", "shop"], backends=backends)
    assert {name: series.present() for name, series in fetched.items()} == {
        "checkout": 1, "cart": 1, "shop": 1,
    }  # fmt: skip
    assert [list(request.resources) for _, request in agents.requests] == [["shop"]]


def test_a_backend_is_not_asked_for_what_hosts_record() -> None:
    agents = Recorded({"a": [(1005.0, 3.0)]})
    assert fetch(agents, "rate", backends={"shop": "web"})["shop"].present() == 1
    assert list(agents.requests[0][1].resources) == ["shop"]


def test_what_balancers_count_is_added_and_the_highest_latency_counts() -> None:
    agents = Recorded({"lb-1": [(1005.0, 3.0)], "lb-2": [(1005.0, 4.0)]}, relays="lb-1 lb-2")
    for query, value in (("rate", 7.0), ("errors", 7.0), ("sessions", 7.0), ("latency", 4.0)):
        assert fetch(agents, f"haproxy_{query}")["shop"].values[1] == value


@pytest.mark.parametrize(
    "backends", [["shop"], {"shop": "web; help"}, {"shop": ""}, {"a b": "web"}]
)
def test_backends_that_cannot_be_are_refused(backends: object) -> None:
    with pytest.raises(SpecError, match=r"metrics source agents, backends"):
        AgentsSource({"backends": backends}, CLOCK, Recorded({}))  # type: ignore[arg-type]


class TestConformance(SourceConformance):
    class World:
        def source(self) -> AgentsSource:
            return AgentsSource({"hosts": ["a"]}, MetricClock(), self)  # type: ignore[arg-type]

        def client(self, host: str) -> Any:
            def call(method: object, request: agent_pb2.SamplesRequest) -> agent_pb2.SamplesReply:
                found = []
                for name in request.resources:
                    cells = {
                        at: value
                        for at, value in DATA.get(name, {}).items()
                        if request.start < at <= request.end
                    }
                    found.append(
                        agent_pb2.Samples(resource=name, at=list(cells), value=cells.values())
                    )
                return agent_pb2.SamplesReply(samples=found)

            return SimpleNamespace(agent=SimpleNamespace(ReadSamples=None), call=call)

    @pytest.fixture
    def world(self) -> World:
        return self.World()
