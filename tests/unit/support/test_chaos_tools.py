"""What the enumeration is counted with: a tool that miscounts would prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.chaos_record import Record
from tests.support.chaos.cells import STEPS, Cell, Result, every_cell, every_stop, strikes
from tests.support.chaos.runner import Broken
from tests.support.mixed_load import Lost, Mix, parse


def test_every_step_of_both_plans_is_enumerated() -> None:
    cells = every_cell()
    assert len(cells) == len(set(cells)) == (18 + 15) * 3 * 5 * 3
    assert all(Cell.named(str(cell)) == cell for cell in cells[::97])
    assert len(every_stop()) == (18 + 15) * 3


@pytest.mark.parametrize("name", ["shift/handover/before/ledger/kill", "shift/drain", "x"])
def test_a_cell_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no cell"):
        Cell.named(name)


def test_a_seed_gives_the_same_strikes_on_both_plans() -> None:
    twice = [list(strikes(40, 5, list(STEPS))) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0] != list(strikes(40, 6, list(STEPS)))
    assert {strike.plan for strike in twice[0]} == set(STEPS)


def test_only_what_the_broken_haproxy_held_is_excused() -> None:
    broken = Broken(at=100.0, front="lb-1", until=100.1)
    assert broken.excuses(Lost("read", "lb-1", 99.0, 100.2, "reset"))
    assert not broken.excuses(Lost("read", "lb-2", 99.0, 100.2, "reset")), "the other one"
    assert not broken.excuses(Lost("read", "lb-1", 100.5, 100.6, "503")), "opened after it"
    assert not broken.excuses(Lost("read", "lb-1", 99.0, 99.5, "503")), "lost before it"
    assert not Broken().excuses(Lost("read", "lb-1", 0.0, 0.0, "503")), "nothing was broken"


HEAD = b"HTTP/1.1 200 OK\r\nX-Host: edge-a\r\n"


@pytest.mark.parametrize(
    ("received", "host"),
    [
        (HEAD, None),
        (HEAD + b"Content-Length: 4\r\n\r\nabc", None),
        (HEAD + b"Content-Length: 4\r\n\r\nabcd", "edge-a"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n", None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "edge-a"),
    ],
)
def test_an_answer_counts_when_it_is_whole(received: bytes, host: str | None) -> None:
    assert parse(received) == host


def test_an_answer_other_than_200_is_none() -> None:
    with pytest.raises(ValueError, match="503"):
        parse(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def test_the_mix_is_what_it_says_and_a_writer_gets_no_puts() -> None:
    fronts = ("lb-1", "lb-2")
    kinds = [Mix(fronts).request(number)[0] for number in range(100)]
    assert [kinds.count(k) for k in ("read", "put", "post", "slow", "stream")] == [60, 15, 20, 4, 1]
    written = [Mix(fronts, writer=True).request(number)[:2] for number in range(100)]
    assert {method for kind, method in written if kind != "post"} == {"GET"}
    assert [kind for kind, _ in written].count("post") == 20


def test_what_went_well_is_not_run_again(tmp_path: Path) -> None:
    record = Record(tmp_path / "cells.json")
    record.put(Result("well", rate=499.0).plain())
    record.put(Result("slow", rate=100.0).plain())
    record.put(Result("lost", rate=500.0, problems=["1 request failed"]).plain())
    record.put(Result("late", rate=500.0, reached=False).plain())
    again = Record(tmp_path / "cells.json")
    assert again.well(500.0) == {"well"}
    again.put(Result("lost", rate=500.0).plain())
    assert again.well(500.0) == {"well", "lost"}
    again.forget(["well"])
    assert [row["cell"] for row in again.of(["well", "lost", "none"])] == ["lost"]
