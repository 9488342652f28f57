"""Hosts as machines: what agents recorded of them, against what they declare."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreshadow.domain.errors import AccessError, UnreachableError
from foreshadow.domain.fleet import parse_host
from foreshadow.operations.machines import machines
from foreshadow.policy.failure_domains import Machine
from foreshadow.wire.gen.agent_pb2 import Samples, SamplesReply, SamplesRequest
from tests.unit.operations.metered import Metered, open_metered, resource


class Agents:
    """Agents that recorded what a test says: by host and series."""

    def __init__(self, recorded: dict[str, dict[str, list[float]]]) -> None:
        self.recorded = recorded
        self.failing: dict[str, Exception] = {}

    def client(self, host: str) -> Any:
        def call(_method: object, request: SamplesRequest, timeout: float) -> SamplesReply:
            assert timeout <= 2.0, "a dead host must not hold a decision up"
            if host in self.failing:
                raise self.failing[host]
            values = self.recorded.get(host, {}).get(request.series, [])
            at = [request.end] * len(values)
            rows = [Samples(resource="@host", at=at, value=values)] if values else []
            return SamplesReply(samples=rows)

        return SimpleNamespace(call=call, agent=SimpleNamespace(ReadSamples=None))


@pytest.fixture
def context(tmp_path: Path) -> Metered:
    made = open_metered(tmp_path, {})
    for name, zone in (("edge-a", "north"), ("edge-b", "south")):
        made.ledger.put_host(
            parse_host(
                {"name": name, "address": "127.0.0.1", "zone": zone, "labels": {"rack": "r1"},
                 "capacity": {"cpu": 4, "memory": "8GiB"}}
            )
        )  # fmt: skip
    return made


def look(context: Metered, recorded: dict[str, dict[str, list[float]]], **keys: Any) -> Machine:
    context.access = cast("Any", Agents(recorded))
    spec = resource("checkout", "edge-a", **keys)
    return machines(context, spec, ["edge-b"], 0.8)["edge-b"]


def test_a_machine_above_its_limit_is_in_trouble_and_a_moment_of_it_is_not(
    context: Metered,
) -> None:
    busy = look(context, {"edge-b": {"cpu": [3.6, 3.8], "memory": [2**30]}})
    assert busy == Machine("edge-b", "south", "its machine has cpu at 0.93 of its capacity")
    assert look(context, {"edge-b": {"cpu": [4.0, 1.0, 1.0]}}).trouble == ""
    assert look(context, {}).trouble == "", "what was not recorded is no trouble"


def test_the_failure_domain_is_the_zone_or_a_label_or_none(context: Metered) -> None:
    assert look(context, {}).domain == "south"
    assert look(context, {}, placement={"failure_domain": "rack"}).domain == "r1"
    assert look(context, {}, placement={"failure_domain": "row"}).domain == ""
    assert look(context, {}, placement={"failure_domain": None}).domain == ""


def test_an_agent_that_does_not_answer_is_silent_and_one_that_may_not_say_is_unknown(
    context: Metered,
) -> None:
    agents = Agents({})
    agents.failing = {
        "edge-a": UnreachableError("no answer", where="host edge-a"),
        "edge-b": AccessError("may not", where="host edge-b"),
    }
    context.access = cast("Any", agents)
    found = machines(context, resource("checkout", "edge-a"), ["edge-a", "edge-b"], 0.8)
    assert found["edge-a"].silent
    assert found["edge-b"] == Machine("edge-b", "south")
