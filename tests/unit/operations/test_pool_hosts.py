"""Outputs as hosts."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.operations.pool_hosts import shape_hosts
from foreshadow.terraform import Output, Snapshot

ROW = {
    "name": "edge-a",
    "address": "127.0.0.11",
    "zone": None,
    "capacity": {"cpu": 4, "rate": None},
    "groups": ["edge"],
    "vars": {"ansible_connection": "local"},
    "instance_id": "i-1",
}


def snapshot(sensitive: bool = False, **outputs: Any) -> Snapshot:
    return Snapshot({name: Output(value, sensitive) for name, value in outputs.items()}, ())


def test_a_row_becomes_a_host() -> None:
    (host,) = shape_hosts(snapshot(foreshadow_hosts=[ROW]), "project p")
    assert host.host.capacity.limits() == {"cpu": 4.0}
    assert host.groups == ("edge",)
    assert host.inventory() == {
        "foreshadow_address": "127.0.0.11",
        "foreshadow_capacity": {"cpu": 4},
        "foreshadow_instance_id": "i-1",
        "ansible_connection": "local",
    }


def test_a_query_shapes_all_outputs() -> None:
    found = shape_hosts(
        snapshot(web={"a": {"ip": "192.0.2.1"}}, other=1), "p", "",
        "[{name: 'a', address: web.a.ip}]",
    )  # fmt: skip
    assert [(host.name, host.host.address) for host in found] == [("a", "192.0.2.1")]


def test_no_outputs_are_no_hosts() -> None:
    assert shape_hosts(snapshot(), "p") == ()


def test_sensitive_outputs_are_refused_and_left_out() -> None:
    held = snapshot(True, foreshadow_hosts=[ROW])
    with pytest.raises(SpecError, match="is sensitive"):
        shape_hosts(held, "p")
    with pytest.raises(SpecError, match="the query makes no list"):
        shape_hosts(held, "p", "", "foreshadow_hosts")


@pytest.mark.parametrize(
    ("value", "query", "words"),
    [
        ("text", None, "it is no list of hosts"),
        ([1], None, "output foreshadow_hosts[0]: is no mapping"),
        ([{"name": "a"}], None, "address: is required"),
        ([{**ROW, "port": 0}], None, "port"),
        ([{**ROW, "groups": "edge"}], None, "has groups that are no list"),
        ([ROW], "[", "JMESPath cannot answer the query"),
    ],
)
def test_what_is_no_host_is_told_in_one_line(value: Any, query: str | None, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        shape_hosts(snapshot(foreshadow_hosts=value), "p", query=query)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_output_that_is_not_there_is_told_with_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean foreshadow_hosts"):
        shape_hosts(snapshot(foreshadow_hosts=[]), "p", "foreshadow_host")
