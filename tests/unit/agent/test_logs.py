"""Keeping logs short that somebody holds open."""

from __future__ import annotations

import os

from foreshadow.agent.logs import AGENT_LOG, LARGEST_BYTES
from foreshadow.domain.fleet import Capacity
from foreshadow.domain.spec import Mode
from tests.support.services import spec
from tests.unit.agent.conftest import Bench


async def test_long_logs_begin_anew_and_their_writers_go_on(bench: Bench) -> None:
    record = await bench.supervisor.create(spec("shop", "edge-b"), Capacity(), Mode.HOT, 1)
    logs = (record.layout.log, bench.home.state_dir / AGENT_LOG)
    with logs[1].open("ab", buffering=0) as agent:
        for log in logs:
            os.truncate(log, LARGEST_BYTES + 1)
        bench.runner.trim_logs()
        agent.write(b"goes on\n")
    assert [log.stat().st_size for log in logs] == [0, len(b"goes on\n")]
    kept = [log.with_name(f"{log.name}.1").stat().st_size for log in logs]
    assert kept == [LARGEST_BYTES + 1] * 2
    bench.runner.trim_logs()
    assert logs[1].read_bytes() == b"goes on\n"
