"""The journal of a switchover: fenced, exact, and whole after a kill."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError, RefusedError, UnknownNameError
from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.moves import Lease, Outcome, Plan, Seen, StepRecord, StepState, Switchover
from foreshadow.domain.spec import Mode
from foreshadow.ledger import Ledger
from foreshadow.ledger.database import Database
from tests.unit.ledger.backends import is_sqlite, rows

PLAN = Plan(
    resource="checkout",
    seen=Seen("digest", "edge-a", "edge-b", ((("edge-a", 100), ("edge-b", 0)),), "frozen"),
    steps=("activate", "shift-100"),
    weights=(100,),
    soak=0.1,
    drill=False,
    failover=False,
    decision_id="d1",
    expires_at=WallTime(1_795_508_000.125),
)


def _switchover(lease: Lease, name: str = "s1", at: float = 1000.1) -> Switchover:
    return Switchover(
        name, lease.resource, "edge-a", "edge-b", PLAN, lease.token, WallTime(at), decision_id="d1"
    )


def _instance(host: str, role: Role) -> Instance:
    return Instance(
        resource="checkout",
        host=host,
        role=role,
        mode=Mode.WARM,
        state=RunState.RUNNING,
        address="127.0.0.1",
        port=8080,
    )


@pytest.fixture
def lease(ledger: Ledger) -> Lease:
    ledger.put_instance(_instance("edge-a", Role.PRIMARY))
    ledger.put_instance(_instance("edge-b", Role.SHADOW))
    return ledger.acquire("checkout", "h:b:1:1", 60, lambda holder: False)


def test_a_switchover_is_read_as_it_was_written(ledger: Ledger, lease: Lease) -> None:
    begun = _switchover(lease)
    ledger.begin(lease, begun)
    assert ledger.switchover("s1") == begun
    assert ledger.switchover("s1").plan.id == PLAN.id
    started = StepRecord("activate", StepState.STARTED, WallTime(1000.2))
    other = StepRecord("shift-100", StepState.STARTED, WallTime(1000.4))
    done = dataclasses.replace(
        started, state=StepState.DONE, ended_at=WallTime(1000.3), detail="thawed"
    )
    for step in (started, other, done):
        ledger.step(lease, "s1", step)
    assert ledger.switchover("s1").steps == (done, other)
    ended = dataclasses.replace(
        ledger.switchover("s1"),
        outcome=Outcome.SWITCHED,
        direction="finished",
        ended_at=WallTime(1001.0),
        switch_ms=12.5,
        pause_ms=0.0,
        rto_seconds=0.9,
        rpo_seconds=0.1,
    )
    assert ledger.unfinished("checkout") == (ledger.switchover("s1"),)
    ledger.finish(lease, ended)
    assert ledger.switchover("s1") == ended
    assert ledger.unfinished() == ()


def test_the_pivot_moves_the_primary_with_the_commit(ledger: Ledger, lease: Lease) -> None:
    ledger.begin(lease, _switchover(lease))
    assert ledger.primary("checkout") == "edge-a"
    for _ in range(2):
        ledger.pivot(lease, "s1")
        roles = {each.host: each.role for each in ledger.instances("checkout")}
        assert roles == {"edge-a": Role.SHADOW, "edge-b": Role.PRIMARY}
        assert ledger.primary("checkout") == "edge-b"
        assert ledger.switchover("s1").pivoted


def test_a_finish_cannot_take_the_pivot_back(ledger: Ledger, lease: Lease) -> None:
    begun = _switchover(lease)
    ledger.begin(lease, begun)
    ledger.pivot(lease, "s1")
    ledger.finish(lease, dataclasses.replace(begun, outcome=Outcome.SWITCHED))
    assert ledger.switchover("s1").pivoted


def test_every_write_of_a_late_actor_is_refused_and_leaves_nothing(
    ledger: Ledger, lease: Lease
) -> None:
    begun = _switchover(lease)
    ledger.begin(lease, begun)
    ledger.acquire("checkout", "h:b:2:2", 60, lambda holder: True)
    step = StepRecord("activate", StepState.STARTED, WallTime(1.0))
    for write in (
        lambda: ledger.begin(lease, _switchover(lease, "s2")),
        lambda: ledger.step(lease, "s1", step),
        lambda: ledger.pivot(lease, "s1"),
        lambda: ledger.finish(lease, dataclasses.replace(begun, outcome=Outcome.SWITCHED)),
    ):
        with pytest.raises(FencedError, match="token 1 is no longer valid: h:b:2:2 has token 2"):
            write()
    assert ledger.switchovers() == (begun,)
    assert ledger.primary("checkout") == "edge-a"


def test_a_recovery_goes_on_with_its_own_token(ledger: Ledger, lease: Lease) -> None:
    ledger.begin(lease, _switchover(lease))
    newer = ledger.acquire("checkout", "h:b:2:2", 60, lambda holder: True)
    ledger.pivot(newer, "s1")
    left = ledger.switchover("s1")
    ledger.finish(newer, dataclasses.replace(left, outcome=Outcome.RECOVERED))
    assert ledger.switchover("s1").token == newer.token


def test_the_lease_of_another_resource_is_no_lease(ledger: Ledger, lease: Lease) -> None:
    ledger.begin(lease, _switchover(lease))
    other = ledger.acquire("search", "h:b:1:1", 60, lambda holder: False)
    with pytest.raises(FencedError, match="the lease is for search"):
        ledger.pivot(other, "s1")


def test_only_one_switchover_of_a_resource_is_under_way(ledger: Ledger, lease: Lease) -> None:
    ledger.begin(lease, _switchover(lease))
    with pytest.raises(RefusedError, match=r"switchover s1 was left unfinished; .*recovered"):
        ledger.begin(lease, _switchover(lease, "s2"))


def test_an_unknown_switchover_is_told_with_a_near_one(ledger: Ledger, lease: Lease) -> None:
    ledger.begin(lease, _switchover(lease, "move-17"))
    for read in (lambda: ledger.switchover("move-71"), lambda: ledger.pivot(lease, "move-71")):
        with pytest.raises(UnknownNameError, match="did you mean move-17"):
            read()


def test_the_newest_switchovers_come_first(ledger: Ledger, lease: Lease) -> None:
    for i in range(4):
        begun = _switchover(lease, f"s{i}", 1000.0 + i)
        ledger.begin(lease, begun)
        ledger.finish(lease, dataclasses.replace(begun, outcome=Outcome.ROLLED_BACK))
    assert [each.id for each in ledger.switchovers(limit=2)] == ["s3", "s2"]
    assert [each.id for each in ledger.switchovers("checkout", WallTime(1002))] == ["s3", "s2"]
    assert ledger.switchovers("search") == ()


_WRITER = """
import sys
from foreshadow.domain.clock import WallTime
from foreshadow.domain.moves import StepRecord, StepState
from foreshadow.ledger import Ledger
from foreshadow.ledger.database import Database

with Ledger.open(sys.argv[1]) as ledger:
    lease = ledger.acquire("checkout", "h:b:3:3", 60, lambda holder: True)
    print("ready", flush=True)
    for i in range(10**6):
        for state in (StepState.STARTED, StepState.DONE):
            ledger.step(lease, "s1", StepRecord(f"step{i}", state, WallTime(float(i))))
        print(i, flush=True)
"""


def test_kill_9_in_the_middle_of_a_write_leaves_every_step_that_was_told(
    ledger: Ledger, lease: Lease, url: str
) -> None:
    ledger.begin(lease, _switchover(lease))
    for round_ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, url], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        told = [int(writer.stdout.readline()) for _ in range(5)]
        # Not at the end of a line, but somewhere in the next few writes.
        time.sleep(0.002 * round_)
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split() if line.isdigit()]
        writer.wait()
        states = {step.name: step.state for step in ledger.switchover("s1").steps}
        assert all(states[f"step{i}"] is StepState.DONE for i in range(max(told) + 1))
        if is_sqlite(url):
            assert rows(url, "PRAGMA integrity_check") == [("ok",)]
    # The dead writer left a lease: the next actor takes it, and goes on.
    newer = ledger.acquire("checkout", "h:b:4:4", 60, lambda holder: True)
    ledger.pivot(newer, "s1")
    assert ledger.primary("checkout") == "edge-b"


def test_the_journal_waits_for_the_disk(ledger: Ledger, url: str) -> None:
    # FULL and NORMAL, as SQLite numbers them.
    question, full, lazy = (
        ("PRAGMA synchronous", 2, 1) if is_sqlite(url) else ("SHOW synchronous_commit", "on", "off")
    )
    for durable, expected in ((True, full), (False, lazy), (True, full)):
        with ledger._database.write(durable=durable) as connection:
            assert connection.exec_driver_sql(question).scalar() == expected
    if is_sqlite(url):
        assert rows(url, "PRAGMA journal_mode") == [("wal",)]


def test_whatever_a_service_said_can_be_kept(ledger: Ledger, lease: Lease) -> None:
    odd = "answered \x00\x1b[31m and \udcff “…” 💥"
    begun = _switchover(lease)
    ledger.begin(lease, begun)
    step = StepRecord("activate", StepState.FAILED, WallTime(1.0), WallTime(2.0), odd)
    ledger.step(lease, "s1", step)
    ledger.finish(lease, dataclasses.replace(begun, outcome=Outcome.ROLLED_BACK, error=odd))
    kept = ledger.switchover("s1")
    assert kept.error == kept.steps[0].detail == "answered \ufffd\x1b[31m and ? “…” 💥"


_STEPPER = """
import sys
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError
from foreshadow.domain.moves import StepRecord, StepState
from foreshadow.ledger import Ledger

with Ledger.open(sys.argv[1]) as ledger:
    name = f"h:b:{sys.argv[2]}:1"
    print("ready", flush=True)
    sys.stdin.readline()
    lease = ledger.acquire("checkout", name, 60, lambda holder: True)
    for i in range(40):
        try:
            ledger.step(lease, "s1", StepRecord(f"{lease.token}-{i}", StepState.DONE, WallTime(i)))
        except FencedError:
            print(lease.token, i, flush=True)
            break
    else:
        print(lease.token, 40, flush=True)
"""


def test_of_writers_that_race_only_the_newest_token_writes(
    ledger: Ledger, lease: Lease, url: str
) -> None:
    ledger.begin(lease, _switchover(lease))
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _STEPPER, url, str(i)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for i in range(3)
    ]  # fmt: skip
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    counts = {int(token): int(count) for token, count in said}
    assert sorted(counts) == [2, 3, 4], "each takeover has a token of its own"
    assert counts[4] == 40, "the newest is never refused"
    names = [step.name for step in ledger.switchover("s1").steps]
    assert sorted(names) == sorted(f"{t}-{i}" for t, count in counts.items() for i in range(count))
    tokens = [int(name.split("-")[0]) for name in names]
    assert tokens == sorted(tokens), "nobody writes after a newer one has begun"


def test_what_is_about_to_happen_waits_for_the_disk_and_what_has_happened_does_not(
    ledger: Ledger, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.begin(lease, _switchover(lease))
    waited: list[bool] = []
    write = Database.write

    def noting(database: Database, *, durable: bool = True) -> AbstractContextManager[Connection]:
        waited.append(durable)
        return write(database, durable=durable)

    monkeypatch.setattr(Database, "write", noting)
    for state in StepState:
        ledger.step(lease, "s1", StepRecord("activate", state, WallTime(1001.0)))
    ledger.pivot(lease, "s1")
    assert dict(zip([*StepState, "pivot"], waited, strict=True)) == {
        StepState.STARTED: True,
        StepState.DONE: False,
        StepState.FAILED: False,
        StepState.UNDOING: True,
        StepState.UNDONE: False,
        "pivot": True,
    }
