"""What HAProxy's counters say between two readings, and when it is not asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshadow.agent.haproxy_samples import (
    ERRORS,
    LATENCY,
    RATE,
    SESSIONS,
    Count,
    Counts,
    HaproxySamples,
    between,
)
from foreshadow.agent.runtime_api import RuntimeSocket, parse_counts
from foreshadow.domain.errors import DirectorError

PID = "6.Pid.1:SGP:u32:{}"


def answer(pid: int = 7, **backends: dict[str, object]) -> list[str]:
    """Return what HAProxy answers for these backends, each with what differs from the usual."""
    lines = ["0.Name.1:POS:str:HAProxy", PID.format(pid)]
    for number, (name, changed) in enumerate(backends.items()):
        fields: dict[str, object] = {
            "pxname": name, "svname": "BACKEND", "scur": 2, "stot": 50, "econ": 3,
            "hrsp_5xx": 4, "req_tot": 100, "qtime": 5, "ctime": 1, "rtime": 20, "ttime": 900,
            "mode": "http",
        } | changed  # fmt: skip
        lines += [f"B.{number}.0.{i}.{k}.1:MCP:u64:{v}" for i, (k, v) in enumerate(fields.items())]
    return lines


class Balancer:
    """A runtime API that gives prepared answers; without one left, it says nothing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "admin.sock"
        self.answers: list[list[str]] = []
        self.asked = 0
        self.thawed = asyncio.Event()

    def clock(self) -> float:
        """Return seconds: one passes with each question."""
        return float(self.asked)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        self.asked += 1
        if self.answers:
            writer.write("\n".join(self.answers.pop(0)).encode())
        else:
            await self.thawed.wait()
        writer.close()


@asynccontextmanager
async def balancer() -> AsyncIterator[Balancer]:
    with TemporaryDirectory() as folder:
        made = Balancer(Path(folder))
        async with await asyncio.start_unix_server(made.serve, made.path):
            yield made
            made.thawed.set()


async def test_values_are_those_of_the_time_between_two_readings() -> None:
    async with balancer() as one:
        samples = HaproxySamples([RuntimeSocket(one.path, 1.0)], one.clock)
        one.answers = [
            answer(shop={}, mail={"mode": "tcp"}),
            answer(shop={"req_tot": 130, "hrsp_5xx": 5}, mail={"mode": "tcp", "stot": 60}),
        ]
        assert await samples.sample() == {}
        assert await samples.sample() == {
            ("shop", RATE): 30.0, ("shop", ERRORS): 1.0, ("shop", SESSIONS): 2.0,
            ("shop", LATENCY): 0.026,
            ("mail", RATE): 10.0, ("mail", ERRORS): 0.0, ("mail", SESSIONS): 2.0,
        }  # fmt: skip


async def test_a_latency_without_requests_is_an_old_one() -> None:
    async with balancer() as one:
        samples = HaproxySamples([RuntimeSocket(one.path, 1.0)], one.clock)
        one.answers = [answer(shop={}), answer(shop={})]
        await samples.sample()
        assert (await samples.sample()).keys() == {
            ("shop", series) for series in (RATE, ERRORS, SESSIONS)
        }


async def test_two_processes_beside_one_agent_share_the_traffic() -> None:
    async with balancer() as one, balancer() as two:
        runtimes = [RuntimeSocket(path, 1.0) for path in (one.path, two.path)]
        samples = HaproxySamples(runtimes, one.clock)
        one.answers = [answer(shop={}), answer(shop={"req_tot": 110})]
        two.answers = [answer(shop={}), answer(shop={"req_tot": 101, "rtime": 50})]
        await samples.sample()
        values = await samples.sample()
        assert values["shop", RATE] == 11.0
        assert values["shop", SESSIONS] == 4.0
        assert values["shop", LATENCY] == 0.056


async def test_a_frozen_one_costs_one_timeout_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with balancer() as one:
        runtime = RuntimeSocket(one.path, 0.1)
        samples = HaproxySamples([runtime], one.clock)
        one.answers = [answer(shop={})]
        await samples.sample()
        assert await samples.sample() == {}
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            assert await samples.sample() == {}
        assert asyncio.get_running_loop().time() - began < 0.1
        assert one.asked == 2
        assert [r.message for r in caplog.records if "does not answer within" in r.message]
        assert len(caplog.records) == 1

        one.thawed.set()
        one.answers = [[], answer(shop={"req_tot": 112})]
        await runtime.exchange(["until the late answer has been read"])
        values = await samples.sample()
        assert values["shop", RATE] == 4.0  # 12 requests in three questions
        assert caplog.records[-1].message.endswith("all is well again")


async def test_a_command_is_neither_waited_for_nor_held_up() -> None:
    async with balancer() as one:
        runtime = RuntimeSocket(one.path, 1.0)
        samples = HaproxySamples([runtime], one.clock)
        async with runtime.lock:
            assert await samples.sample() == {}
        assert one.asked == 0


@pytest.mark.parametrize(
    "lines",
    [[], answer(shop={})[2:], answer(shop={})[:-1], answer(shop={"req_tot": "many"})],
)
async def test_half_an_answer_counts_nothing(
    lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with balancer() as one:
        samples = HaproxySamples([RuntimeSocket(one.path, 1.0)], one.clock)
        one.answers = [answer(shop={}), lines, answer(shop={"req_tot": 120})]
        await samples.sample()
        assert await samples.sample() == {}
        assert "broke its answer off" in caplog.text
        assert (await samples.sample())["shop", RATE] == 10.0


def test_an_answer_without_a_process_is_refused() -> None:
    with pytest.raises(DirectorError):
        parse_counts(answer(shop={})[2:], "HAProxy")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "miss", "reload", "clear", "restart"]),
        st.integers(0, 1000),
        st.floats(0.01, 100),
    ),
    max_size=40,
)


@given(EVENTS)
def test_no_request_is_counted_twice_and_none_is_made_up(
    events: list[tuple[str, int, float]],
) -> None:
    """Whatever happens between two readings, rates add up to what can still be known."""
    at, pid, counter = 0.0, 1, 0
    fresh = 0  # requests since the last reading that some process still tells of
    readings, known = [Counts(0.0, 1, {"shop": Count(0, 0, 0, None)})], [0]
    for event, requests, passed in events:
        at += passed
        counter, fresh = counter + requests, fresh + requests
        if event in ("reload", "restart"):  # a restart in a container gives the same pid
            pid += event == "reload"
            counter = fresh = 0
        elif event == "clear":
            counter = fresh = 0
        elif event == "ask":
            readings.append(Counts(at, pid, {"shop": Count(counter, 0, 0, None)}))
            known.append(fresh)
            fresh = 0
    for (before, now), expected in zip(pairwise(readings), known[1:], strict=True):
        rate = between(before, now)["shop", RATE]
        told = rate * (now.at - before.at)
        assert told >= 0
        fell = now.backends["shop"].requests < before.backends["shop"].requests
        if fell or before.pid != now.pid:
            assert told == pytest.approx(expected)
        else:  # a counter that was cleared and has overtaken itself since, tells less
            assert told <= expected + 1e-6
