"""Reading HAProxy's answers: what they say, and when they cannot be trusted."""

from __future__ import annotations

from typing import Any

import pytest

from foreshadow.agent.runtime_api import Backend, parse_backend, parse_number
from foreshadow.domain.errors import DirectorError

INFO = ["0.Name.1:POS:str:HAProxy", "6.Pid.1:SGP:u32:4711", "8.Uptime_sec.1:MDP:u32:90",
        "13.Ulimit-n.1:CLP:u32:20000", "54.Unstoppable Jobs.1:MGP:u32:1"]  # fmt: skip
HEAD = ["1", "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight"]


def state(name: str = "a", sid: int = 1, admin: int = 0, weight: int = 100, iid: int = 3) -> str:
    return f"{iid} app {sid} {name} 127.0.0.1 2 {admin} {weight} 1 15 3 4 6 0 0 0 - 80 - 0 0 - - 0"


def stat(sid: int = 1, iid: int = 3, **fields: object) -> list[str]:
    shown: dict[str, object] = {
        "pxname": "app", "svname": "a", "status": "UP", "bck": 0, "scur": 2, "qcur": 1,
        "lastchg": 12, "addr": "[::1]:80", "check_status": "L7OK", "check_rise": 2,
        "check_fall": 3, "check_health": 4, **fields,
    }  # fmt: skip
    return [f"S.{iid}.{sid}.{i}.{k}.1:MGP:str:{v}" for i, (k, v) in enumerate(shown.items())]


def parsed(*lines: str) -> Backend:
    backend, complaints = parse_backend([*INFO, *HEAD, *lines], "3", "HAProxy")
    assert complaints == []
    return backend


def test_reads_a_line_from_all_three_answers() -> None:
    backend = parsed(state(weight=30), *stat())
    assert (backend.pid, backend.uptime, backend.number) == (4711, 90, "3")
    a = backend.server("a")
    assert a is not None
    assert (a.address, a.weight, a.sessions, a.queued, a.since) == ("[::1]:80", 30, 2, 1, 12)
    assert (a.admin_state, a.status, a.check_status, a.passed) == ("ready", "UP", "L7OK", True)
    assert backend.server("z") is None


@pytest.mark.parametrize(
    ("bits", "told"),
    [(0, "ready"), (4, "ready"), (1, "maint"), (5, "maint"), (8, "drain"), (12, "drain"),
     (9, "maint"), (2, "maint"), (16, "drain"), (32, "maint")],
)  # fmt: skip
def test_admin_states_are_bits(bits: int, told: str) -> None:
    assert parsed(state(admin=bits), *stat()).servers[0].admin_state == told


@pytest.mark.parametrize(
    ("fields", "passed"),
    [
        ({}, True),
        ({"check_status": "* L7OK"}, True),  # the next check is under way
        ({"check_status": "L4OK"}, True),
        ({"check_health": 2}, False),  # as on leaving maint: the OK is from before it
        ({"check_health": 3}, False),  # one has failed since
        ({"check_status": "L7OKC"}, False),  # passed, and asks for no new traffic
        ({"check_status": "INI"}, False),
        ({"check_status": ""}, False),
        ({"check_rise": 2, "check_fall": 1, "check_health": 2}, False),  # cannot be told
    ],
)
def test_a_passed_check_is_one_since_maint(fields: dict[str, Any], passed: bool) -> None:
    assert parsed(state(), *stat(**fields)).servers[0].passed is passed


def test_in_maint_no_check_counts() -> None:
    assert not parsed(state(admin=1), *stat()).servers[0].passed


def test_a_line_without_checks_has_passed_none() -> None:
    bare = [f"S.3.1.{i}.{k}.1:M:s:{v}" for i, (k, v) in enumerate({"status": "no check"}.items())]
    assert not parsed(state(), *bare).servers[0].passed


def test_what_is_not_an_answer_is_a_complaint() -> None:
    _, complaints = parse_backend([*INFO, "No such server."], "3", "HAProxy")
    assert complaints == ["No such server."]


@pytest.mark.parametrize(
    "lines",
    [
        [*INFO, *HEAD, state()],  # no statistics
        [*INFO, *HEAD, state(), state("b", 2), *stat()],  # not for all
        [*HEAD, state(), *stat()],  # no process
        [*INFO, *HEAD, state(iid=4), *stat(iid=4)],  # another backend has this number now
    ],
)
def test_half_an_answer_is_none(lines: list[str]) -> None:
    with pytest.raises(DirectorError, match="broke its answer off"):
        parse_backend(lines, "3", "HAProxy")


def test_finds_the_number_of_a_backend() -> None:
    assert parse_number([*HEAD, state(iid=17)]) == "17"
    assert parse_number(["Can't find backend."]) is None
    assert parse_number(HEAD) is None
