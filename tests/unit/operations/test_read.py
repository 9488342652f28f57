"""Reading the ledger."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foreshadow.domain.clock import MetricTime, WallTime
from foreshadow.domain.decision import Decision, Trigger, Verdict
from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.operations.context import Context
from foreshadow.operations.control import set_control
from foreshadow.operations.read import SUBSETS, read_ledger
from foreshadow.operations.registry import register_resources


@pytest.fixture(autouse=True)
def _records(context: Context) -> None:
    service = {"command": ["/opt/x"], "port": 8080}
    names = ("checkout", "search")
    register_resources(
        context, [{"name": name, "primary": "edge-a", "service": service} for name in names]
    ).apply()
    for i in range(4):
        for name in names:
            context.ledger.record_decision(
                Decision(
                    f"{name}-{i}", name, MetricTime(i), WallTime(1000.0 + i),
                    [Verdict.STAY, Verdict.SWITCH][i % 2], Trigger.NONE, (),
                )
            )  # fmt: skip


def test_all_subsets_are_json(context: Context) -> None:
    everything = read_ledger(context)
    assert tuple(everything) == SUBSETS
    assert json.loads(json.dumps(everything)) == everything
    assert [each["name"] for each in everything["hosts"]] == ["edge-a", "edge-b", "edge-c", "lb-1"]
    assert everything["resources"][0]["current_primary"] == "edge-a"


def test_a_subset_of_one_resource_since_a_time(context: Context) -> None:
    found = read_ledger(context, ["decisions"], "search", "1970-01-01T00:16:42Z")
    assert list(found) == ["decisions"]
    assert [each["id"] for each in found["decisions"]] == ["search-3", "search-2"]
    assert len(read_ledger(context, ["decisions"], limit=3)["decisions"]) == 3
    assert [each["name"] for each in read_ledger(context, resource="search")["resources"]] == [
        "search"
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "line"),
    [
        (
            {"subset": ["decision"]},
            UnknownNameError,
            "ledger: unknown subset decision; did you mean decisions?",
        ),
        (
            {"resource": "serch"},
            UnknownNameError,
            "unknown resource serch; did you mean search?",
        ),
        (
            {"since": "yesterday"},
            SpecError,
            "ledger, since: 'yesterday' is not a time; write 2026-11-24T08:00:00Z",
        ),
        ({"limit": 0}, SpecError, "ledger: limit 0 is less than 1; ask for 1 or more"),
    ],
)
def test_what_cannot_be_read_is_told(
    context: Context, arguments: dict[str, Any], error: type[SpecError], line: str
) -> None:
    with pytest.raises(error) as caught:
        read_ledger(context, **arguments)
    assert str(caught.value) == line


def test_what_persons_decided_is_read_as_control_gives_it(context: Context) -> None:
    set_control(context, "paused").apply()
    found = read_ledger(context, ["control"])
    assert found["control"]["paused"] is True
    assert found["control"] == set_control(context, "paused").preview["control"]
