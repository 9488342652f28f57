"""The recorder's rhythm: a source that is slow or fails holds up no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from foreshadow.agent.recorder import Recorder
from foreshadow.agent.samples import Key, Samples
from foreshadow.domain.errors import UnreachableError
from foreshadow.domain.series import HOST
from tests.support.haproxy import wait_until
from tests.unit.agent.conftest import Bench


@pytest.fixture
def samples(tmp_path: Path) -> Iterator[Samples]:
    made = Samples(tmp_path / "samples.db")
    yield made
    made.close()


async def test_a_slow_source_holds_up_no_other(bench: Bench, samples: Samples) -> None:
    answer = asyncio.Event()
    asked = 0

    async def slow() -> Mapping[Key, float]:
        nonlocal asked
        asked += 1
        await answer.wait()
        return {("shop", "haproxy_rate"): 5.0}

    def recorded(resource: str, series: str) -> list[float]:
        return [value for _, value in samples.read(resource, series, 0, bench.home.now())]

    recorder = Recorder(bench.home, bench.runner, samples, interval=0.02)
    recorder.add(slow)
    for _ in range(3):
        await recorder.record()
    assert len(recorded(HOST, "load")) == 3
    assert recorded("shop", "haproxy_rate") == []
    assert asked == 1
    answer.set()
    await recorder.record()
    assert recorded("shop", "haproxy_rate") == [5.0]
    await recorder.record()
    assert recorded("shop", "haproxy_rate") == [5.0, 5.0]
    assert asked == 2


async def test_what_is_asked_ends_with_the_recorder(bench: Bench, samples: Samples) -> None:
    ended = asyncio.Event()

    async def endless() -> Mapping[Key, float]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    recorder = Recorder(bench.home, bench.runner, samples, interval=0.02)
    recorder.add(endless)
    recording = asyncio.create_task(recorder.run())
    await asyncio.sleep(0.05)
    recording.cancel()
    await asyncio.wait([recording])
    await asyncio.wait_for(ended.wait(), 1)


async def test_a_source_that_cannot_tell_is_logged_once(
    bench: Bench, samples: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> Mapping[Key, float]:
        raise UnreachableError("does not answer", where="HAProxy")

    recorder = Recorder(bench.home, bench.runner, samples, interval=0.02)
    recorder.add(broken)
    for _ in range(3):
        await recorder.record()
    assert [record.message for record in caplog.records] == ["HAProxy: does not answer"]
    assert len(samples.read(HOST, "load", 0, bench.home.now())) == 3


async def test_recording_goes_on_after_a_disk_was_full(
    bench: Bench, samples: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    def logged(told: str) -> bool:
        return any(told in record.message for record in caplog.records)

    def limit(pages: int) -> None:
        samples._database.execute(f"PRAGMA max_page_count = {pages}")

    recorder = Recorder(bench.home, bench.runner, samples, interval=0.01)
    (full,) = samples._database.execute("PRAGMA page_count").fetchone()
    limit(full)
    recording = asyncio.create_task(recorder.run())
    await asyncio.to_thread(wait_until, lambda: logged("is full"), "the disk to be full", 30)
    limit(1_000_000)
    over = partial(logged, "recording: all is well again")
    await asyncio.to_thread(wait_until, over, "the recorder to go on", 30)
    assert not recording.done()
    recording.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await recording
    told = [record.message for record in caplog.records if record.message.startswith("recording:")]
    assert len(told) == 2, "each is said once"
