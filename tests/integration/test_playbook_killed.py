"""``ansible-playbook`` is killed in the middle of a switchover; ``recover`` ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from foreshadow.domain.moves import Outcome, Switchover
from foreshadow.operations.switch import SwitchRequest, recover, switch_over
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until
from tests.support.load import Load
from tests.support.modules import COLLECTIONS

A, B = "edge-a", "edge-b"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")

Reached = Callable[[Switchover], bool]


class Playbooks:
    """The playbooks of the collection, with an inventory as a person writes it."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        known = fleet.connection
        variables = {
            "foreshadow_ledger": known.ledger,
            "foreshadow_ca": known.ca,
            "foreshadow_cert": known.cert,
            "foreshadow_key": known.key,
        }
        self._inventory = folder / "inventory.yml"
        self._inventory.write_text(yaml.safe_dump({"all": {"vars": variables}}))
        self._log = folder / "log"
        self._environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_NOCOLOR": "1",
        }

    def start(self, name: str, **variables: str) -> psutil.Popen:
        extra = [part for key, value in variables.items() for part in ("-e", f"{key}={value}")]
        with self._log.open("wb") as log:
            return psutil.Popen(
                [PLAYBOOK, "-i", self._inventory, f"foreshadow.core.{name}", *extra],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, name: str) -> str:
        """Run one to its end; return what it printed."""
        status = self.start(name).wait(60)
        said = self._log.read_text()
        assert status == 0, said
        return said


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), policy={"soak": "200ms"}) as running:
        yield running


@pytest.fixture(scope="module")
def playbooks(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Playbooks:
    return Playbooks(fleet, tmp_path_factory.mktemp("playbooks"))


@pytest.fixture
def load(fleet: Fleet) -> Iterator[Load]:
    """Send requests throughout; none of them may be lost, also of those that take long."""
    with Load(fleet.fronts, rate=80, slow_every=20, stream_every=30, seconds=1.0) as load:
        wait_until(lambda: load.tally.ok > 20, "requests to be answered")
        yield load
        wait_until(lambda: load.tally.ok > 200, "enough requests to be answered", 30)
    tally = load.tally
    assert (tally.failed, tally.truncated) == (0, 0), tally.errors


def kill_all(playbook: psutil.Popen) -> None:
    """Kill the playbook and its workers, as a machine that runs out of memory."""
    family = [*playbook.children(recursive=True), playbook]
    assert len(family) > 1, "no worker is among them"
    for number in (signal.SIGSTOP, signal.SIGKILL):  # so that none can act on another's death
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    psutil.wait_procs(family, 10)


def interrupted(
    fleet: Fleet, playbooks: Playbooks, reached: Reached, kill: Callable[[psutil.Popen], None]
) -> tuple[str, str]:
    """Start a move by playbook, and kill it at a moment; return where from and where to."""
    here = fleet.ledger.primary(NAME)
    there = B if here == A else A
    playbook = playbooks.start("switchover", foreshadow_resource=NAME, foreshadow_to=there)
    deadline = time.monotonic() + 30
    while not any(reached(move) for move in fleet.ledger.unfinished(NAME)):
        assert time.monotonic() < deadline
        assert playbook.poll() is None, "it has ended before it came to that"
        time.sleep(0.001)
    kill(playbook)
    return here, there


def at(step: str) -> Reached:
    return lambda move: any(line.name == step for line in move.steps)


@pytest.mark.parametrize(
    ("reached", "finished"),
    [
        pytest.param(at("shift-50"), False, id="traffic on both"),
        pytest.param(at("drain"), False, id="just before the pivot"),
        pytest.param(lambda move: move.pivoted, True, id="just after the pivot"),
    ],
)
def test_recover_ends_what_a_killed_playbook_began(
    fleet: Fleet, playbooks: Playbooks, load: Load, reached: Reached, finished: bool
) -> None:
    here, there = interrupted(fleet, playbooks, reached, kill_all)
    (left,) = fleet.ledger.unfinished(NAME)
    assert left.pivoted == finished
    time.sleep(0.5)  # nobody acts, and traffic is served

    assert "changed=1 " in playbooks.run("recover")

    fleet.assert_agreement(*((there, [here]) if finished else (here, [there])))
    ended = fleet.ledger.switchover(left.id)
    assert ended.direction == ("finished" if finished else "undone")
    assert not recover(fleet.context).changed


def test_a_module_that_outlives_its_playbook_is_left_to_end_its_work(
    fleet: Fleet, playbooks: Playbooks, load: Load
) -> None:
    """``kill -9`` reaches ``ansible-playbook`` alone: its module goes on, and is not disturbed."""
    here, there = interrupted(fleet, playbooks, at("sync"), lambda playbook: playbook.kill())
    assert "changed=0 " in playbooks.run("recover")
    wait_until(lambda: not fleet.ledger.unfinished(NAME), "the module to end its work", 30)
    fleet.assert_agreement(there, [here])
    (last, *_) = fleet.ledger.switchovers(NAME)
    assert last.outcome is Outcome.SWITCHED
    again = switch_over(fleet.context, SwitchRequest(resource=NAME, to=there))
    assert not again.changed


def test_a_playbook_that_is_asked_to_stop_goes_back(
    fleet: Fleet, playbooks: Playbooks, load: Load
) -> None:
    """SIGTERM to ``ansible-playbook``, as when a job is cancelled: nothing is left running."""
    family: list[psutil.Process] = []

    def ask(playbook: psutil.Popen) -> None:
        family.extend([*playbook.children(recursive=True), playbook])
        playbook.terminate()

    here, there = interrupted(fleet, playbooks, at("shift-50"), ask)
    _, alive = psutil.wait_procs(family, 15)
    assert alive == [], "it goes on working although it was asked to stop"
    playbooks.run("recover")
    (last, *_) = fleet.ledger.switchovers(NAME)
    assert (last.source, last.destination) == (here, there)
    if last.pivoted:  # on a busy machine the question came after the commit
        fleet.assert_agreement(there, [here])
    else:
        assert (last.outcome, last.error) == (Outcome.ROLLED_BACK, "stopped on request")
        fleet.assert_agreement(here, [there])
