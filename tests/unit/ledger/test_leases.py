"""At most one actor holds a resource, whatever the clocks and processes do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import FencedError, LeaseHeldError
from foreshadow.domain.moves import Lease
from foreshadow.ledger import Ledger
from foreshadow.ledger.holder import is_dead, this_process


def _nobody(holder: str) -> bool:
    return False


def test_a_live_lease_is_held_against_everybody_also_its_own_process(ledger: Ledger) -> None:
    lease = ledger.acquire("checkout", "h:b:1:1", 10, _nobody)
    assert lease.token == 1
    for holder in ("h:b:1:1", "h:b:2:2"):
        with pytest.raises(LeaseHeldError, match="h:b:1:1"):
            ledger.acquire("checkout", holder, 10, _nobody)
    assert ledger.lease("checkout") == lease


def test_the_leases_of_two_resources_are_apart(ledger: Ledger) -> None:
    assert ledger.acquire("checkout", "h:b:1:1", 10, _nobody).token == 1
    assert ledger.acquire("search", "h:b:2:2", 10, _nobody).token == 1


def test_an_expired_lease_is_taken_over_and_its_holder_is_fenced(
    ledger: Ledger, clock: object
) -> None:
    first = ledger.acquire("checkout", "h:b:1:1", 10, _nobody)
    clock.time += 10  # type: ignore[attr-defined]
    second = ledger.acquire("checkout", "h:b:2:2", 10, _nobody)
    assert second.token == 2
    with pytest.raises(FencedError, match="h:b:2:2 has token 2"):
        ledger.renew(first, 10)
    ledger.release(first)
    assert ledger.lease("checkout") == second


def test_an_expired_lease_that_nobody_wants_is_renewed(ledger: Ledger, clock: object) -> None:
    lease = ledger.acquire("checkout", "h:b:1:1", 10, _nobody)
    clock.time += 60  # type: ignore[attr-defined]
    renewed = ledger.renew(lease, 10)
    assert renewed.token == lease.token
    assert renewed.expires_at == lease.expires_at + 60


def test_the_lease_of_a_dead_holder_is_taken_over_at_once(ledger: Ledger) -> None:
    ledger.acquire("checkout", "h:b:1:1", 3600, _nobody)
    assert ledger.acquire("checkout", "h:b:2:2", 10, lambda holder: True).token == 2


def test_a_released_lease_is_free_and_no_longer_valid(ledger: Ledger) -> None:
    lease = ledger.acquire("checkout", "h:b:1:1", 10, _nobody)
    ledger.release(lease)
    assert ledger.lease("checkout") is None
    with pytest.raises(FencedError, match="given back"):
        ledger.renew(lease, 10)
    assert ledger.acquire("checkout", "h:b:1:1", 10, _nobody).token == 2


def test_tokens_go_on_after_the_resource_was_removed(ledger: Ledger) -> None:
    spec = ledger.resource("checkout")
    ledger.release(ledger.acquire("checkout", "h:b:1:1", 10, _nobody))
    ledger.remove_resource("checkout")
    ledger.put_resource(spec)
    assert ledger.acquire("checkout", "h:b:1:1", 10, _nobody).token == 2


class Actors(RuleBasedStateMachine):
    """Several actors on one lease, with expiries, deaths, and a clock that jumps both ways."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.ledger = Ledger.open(self.url, lambda: WallTime(self.time))
        self.leases: dict[int, Lease] = {}
        self.dead: set[str] = set()
        self.highest = 0

    @initialize()
    def start_from_what_is_there(self) -> None:
        # The file is shared by all runs: tokens only ever grow, also from one run to the next.
        left = self.ledger.lease("checkout")
        if left is not None:
            self.ledger.release(left)
        first = self.ledger.acquire("checkout", "start", 1, _nobody)
        self.ledger.release(first)
        self.highest = first.token

    @rule(actor=st.integers(0, 3), ttl=st.floats(0.1, 50))
    def acquire(self, actor: int, ttl: float) -> None:
        before = self.ledger.lease("checkout")
        try:
            lease = self.ledger.acquire("checkout", f"a{actor}", ttl, self.dead.__contains__)
        except LeaseHeldError:
            assert before is not None
            assert before.expires_at > self.time
            assert before.holder not in self.dead
            return
        assert before is None or before.expires_at <= self.time or before.holder in self.dead
        assert lease.token == self.highest + 1
        self.highest = lease.token
        self.leases[actor] = lease
        self.dead.discard(f"a{actor}")

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), ttl=st.floats(0.1, 50))
    def renew(self, data: st.DataObject, ttl: float) -> None:
        actor = data.draw(st.sampled_from(sorted(self.leases)))
        try:
            self.leases[actor] = self.ledger.renew(self.leases[actor], ttl)
        except FencedError:
            held = self.ledger.lease("checkout")
            assert held is None or held.token != self.leases[actor].token

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        actor = data.draw(st.sampled_from(sorted(self.leases)))
        self.ledger.release(self.leases[actor])

    @rule(seconds=st.floats(-100, 100))
    def jump(self, seconds: float) -> None:
        self.time += seconds

    @rule(actor=st.integers(0, 3))
    def die(self, actor: int) -> None:
        self.dead.add(f"a{actor}")

    @invariant()
    def never_two_valid_tokens(self) -> None:
        held = self.ledger.lease("checkout")
        valid = []
        for lease in self.leases.values():
            try:
                self.ledger.renew(lease, max(0.0, lease.expires_at - self.time))
            except FencedError:
                continue
            valid.append(lease.token)
        assert len(set(valid)) <= 1
        if valid:
            assert held is not None
            assert valid == [held.token] == [self.highest]

    def teardown(self) -> None:
        self.ledger.close()


def test_never_two_valid_tokens(ledger: Ledger, url: str) -> None:
    machine = type("Machine", (Actors,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


_RACER = """
import sys
from foreshadow.domain.errors import LeaseHeldError
from foreshadow.ledger import Ledger
from foreshadow.ledger.holder import is_dead, this_process

print("ready", flush=True)
sys.stdin.readline()
with Ledger.open(sys.argv[1]) as ledger:
    for name in sys.argv[2:]:
        try:
            print(ledger.acquire(name, this_process(), 60, is_dead).token, flush=True)
        except LeaseHeldError:
            print("held", flush=True)
    sys.stdin.readline()
"""


def test_of_processes_that_race_exactly_one_wins_each_lease(url: str) -> None:
    # The database is empty: they race for the creation of the ledger as well.
    names = [f"r{i}" for i in range(8)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, url, *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        assert [_line(racer) for racer in racers] == ["ready"] * 4
        for racer in racers:
            _go(racer)
        said = [[_line(racer) for _ in names] for racer in racers]
        for each in zip(*said, strict=True):
            assert sorted(each) == ["1", "held", "held", "held"]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    # They are dead, and every lease still runs for a minute.
    with Ledger.open(url) as ledger:
        assert [ledger.acquire(name, this_process(), 60, is_dead).token for name in names] == [
            2
        ] * 8


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline().strip() or process.stderr.read()


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_this_process_is_alive_and_its_name_is_its_own() -> None:
    assert not is_dead(this_process())
    assert this_process().split(":")[2] == str(os.getpid())


_NAMED = """
import sys
from foreshadow.ledger.holder import this_process

print(this_process(), flush=True)
sys.stdin.readline()
"""


def test_a_process_is_dead_when_it_is_gone_a_zombie_or_its_number_is_somebody_elses() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _NAMED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    name = _line(child)
    assert not is_dead(name)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)  # a zombie: killed, and nobody has asked for it yet
    child.communicate()
    assert is_dead(name)
    reused = ":".join([*this_process().split(":")[:3], "1"])
    assert is_dead(reused)


def test_what_cannot_be_seen_from_here_is_taken_for_alive() -> None:
    host, boot, pid, started = this_process().split(":")
    gone = str(2**22 + 1)  # above the highest number that Linux gives to a process
    assert is_dead(f"{host}:{boot}:{gone}:{started}")
    assert not is_dead(f"{host}:another-boot:{gone}:{started}")
    assert not is_dead(f"{host}:{boot}:-1:{started}")
    assert not is_dead(f"{host}:{boot}:{pid}x:{started}")
    assert not is_dead("somebody")
    assert not is_dead("")
