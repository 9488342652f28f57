"""The source ``agents`` reads what a real agent recorded."""

import time
from pathlib import Path

from foreshadow.domain.clock import MetricClock, MetricTime, WallTime
from foreshadow.domain.series import HOST, Series, Window
from foreshadow.metrics.agents import AgentsSource
from foreshadow.wire.access import Access
from tests.support.agents import Agents, start_agents

ORIGIN = MetricTime(1_500_000_000.0)


def newest(agents: Agents, access: Access, begun: WallTime) -> Series | None:
    """The memory that the hosts used, at 60 times the real speed, on a grid of half a minute."""
    clock = MetricClock(ORIGIN, begun, 60.0)
    now = clock.metric(WallTime(time.time()))
    window = Window(MetricTime(ORIGIN - 60.0), now, 30.0)
    return AgentsSource({}, clock, access).fetch("memory", [HOST], window).get(HOST)


def test_samples_of_the_real_recorder_arrive_in_metric_time(tmp_path: Path) -> None:
    begun = WallTime(time.time())
    with start_agents(tmp_path, {"edge-a": {}}) as agents:
        access = Access(
            agents.hosts.__getitem__, agents.credentials, 5.0, lambda: list(agents.hosts.values())
        )
        try:
            series, deadline = None, time.monotonic() + 20
            while series is None or series.present() < 2:
                assert time.monotonic() < deadline
                time.sleep(0.2)
                series = newest(agents, access, begun)
        finally:
            access.close()
    at, value = series.last() or (ORIGIN, 0.0)
    assert ORIGIN < at <= ORIGIN + 60 * 25
    assert value > 1e6
