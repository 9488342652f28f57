"""``foreshadow agent --background``: at most one agent for a folder, and no one else's process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.agent.processes import identify, is_alive, read_process, send
from foreshadow.cli import main
from foreshadow.domain.fleet import Host, RunState
from foreshadow.domain.spec import Mode
from foreshadow.instances.agent import AgentInstances
from foreshadow.wire import pki
from foreshadow.wire.access import Access
from tests.support.agents import end_instances, foreshadow, instances, loopback
from tests.support.haproxy import wait_until
from tests.support.services import spec


class Machine:
    """A host on which agents are started in the background.

    :ivar state: folder of its agent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = loopback()
        self.state = folder / "state"
        pki.init_authority(folder / "pki")
        self.files = pki.issue(folder / "pki", "edge-a", "agent", [self.address]).credentials

    def options(self, **changed: str | Path) -> list[str]:
        """Return the options of the agent, each as one word."""
        options: dict[str, str | Path] = {
            "host": "edge-a",
            "listen": f"{self.address}:7443",
            "state_dir": self.state,
            "ca": self.files.ca,
            "cert": self.files.cert,
            "key": self.files.key,
        }
        options |= changed
        return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]

    @property
    def note(self) -> Path:
        return self.state / "agent.pid"

    def pid(self) -> int:
        return int(self.note.read_text())

    def close(self) -> None:
        agent = read_process(self.pid()) if self.note.exists() else None
        if agent is not None and f"--state-dir={self.state}" in self.command(agent.pid):
            send(agent, signal.SIGKILL)
        end_instances(self.folder)

    @staticmethod
    def command(pid: int) -> list[str]:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


class Ran:
    """What ``foreshadow agent --background`` told: its output, or the one line of its error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, options: list[str]) -> str:
        status = main(["agent", *options, "--background"])
        told = self._capsys.readouterr()
        lines = (told.err if status else told.out).splitlines()
        assert len(lines) == 1, told
        return lines[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Ran:
    return Ran(capsys)


def test_the_same_options_find_it_running_however_they_are_written(
    machine: Machine, run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(machine.options()) == f"started {machine.pid()}"
    running = f"running {machine.pid()}"
    assert run(machine.options()) == running
    apart = [part for word in machine.options() for part in word.split("=", 1)]
    assert run(list(reversed(machine.options()))) == running
    assert run(apart) == running
    monkeypatch.chdir(machine.folder)
    assert run(machine.options(state_dir="state", ca="pki/ca.pem")) == running
    assert identify(machine.pid()) is not None


def test_other_options_replace_the_agent_and_leave_its_instances(
    machine: Machine, run: Ran
) -> None:
    run(machine.options())
    before = machine.pid()
    controller = pki.issue(machine.folder / "pki", "tests", "controller").credentials
    host = Host(name="edge-a", address=machine.address, port=7443)
    access = Access(lambda name: host, controller)
    try:
        driver = AgentInstances(host, access)
        driver.create(spec("shop", "edge-b"), Mode.WARM, 1)
        (instance,) = instances(machine.folder)
        changed = machine.options(sample_interval="0.5")
        assert run(changed) == f"started {machine.pid()}"
        assert machine.pid() != before
        assert identify(before) is None
        assert run(changed) == f"running {machine.pid()}"
        assert is_alive(instance)
        found = driver.get("shop")
        assert found is not None
        assert found.state is RunState.FROZEN
    finally:
        access.close()


def test_an_agent_comes_back_when_the_one_in_its_place_cannot_start(
    machine: Machine, run: Ran
) -> None:
    run(machine.options())
    before = machine.pid()
    told = run(machine.options(host="edge-z"))
    assert "is the certificate of agent edge-a, not of agent edge-z" in told
    assert "the one from before runs again" in told
    assert machine.pid() != before
    assert run(machine.options()) == f"running {machine.pid()}"


def test_two_at_once_start_one_agent(machine: Machine) -> None:
    command = [sys.executable, "-P", "-m", "foreshadow.cli", "agent", *machine.options()]
    both = [
        subprocess.Popen([*command, "--background"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = sorted(process.communicate(timeout=40)[0] for process in both)
    assert told == [f"running {machine.pid()}\n", f"started {machine.pid()}\n"]


def test_a_port_that_a_stranger_has_is_no_agent(machine: Machine, run: Ran) -> None:
    with socket.create_server((machine.address, 7443)):
        told = run(machine.options())
    assert f"cannot listen at {machine.address}:7443: pid {os.getpid()} (" in told
    assert told.endswith(f"see {machine.state / 'agent.log'}")
    assert run(machine.options()).startswith("started ")


def test_an_address_of_another_machine_is_told(machine: Machine, run: Ran) -> None:
    told = run(machine.options(listen="203.0.113.7:7443"))
    assert "cannot listen at 203.0.113.7:7443" in told
    assert "give --listen an address of this machine" in told


@pytest.mark.parametrize("alike", [False, True])
def test_a_stranger_with_the_pid_of_the_note_is_left_alone(
    machine: Machine, run: Ran, alike: bool
) -> None:
    # Its folder only begins like ours, or it has nothing in common with an agent at all.
    command = f"--state-dir={machine.state}2" if alike else "stranger"
    machine.state.mkdir()
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)", "-m", "foreshadow.cli", command]
    )
    try:
        machine.note.write_text(f"{stranger.pid}\n")
        assert run(machine.options()) == f"started {machine.pid()}"
        assert machine.pid() != stranger.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("note", ["nonsense", "99999999999999999999"])
def test_a_note_that_says_nothing_is_written_anew(machine: Machine, run: Ran, note: str) -> None:
    machine.state.mkdir()
    machine.note.write_text(note)
    assert run(machine.options()) == f"started {machine.pid()}"


def test_an_agent_that_was_started_by_hand_is_told(machine: Machine, run: Ran) -> None:
    by_hand = subprocess.Popen(
        foreshadow("agent", *machine.options()), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: (machine.state / "samples.db").exists(), "the agent")
        assert "another agent is using it; stop that agent" in run(machine.options())
        assert by_hand.poll() is None
    finally:
        by_hand.terminate()
        by_hand.wait(10)


def test_an_agent_that_does_not_end_is_named(
    machine: Machine, run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(machine.options())
    monkeypatch.setattr("foreshadow.cli.background._STOP_SECONDS", 0.2)
    agent = read_process(machine.pid())
    assert agent is not None
    send(agent, signal.SIGSTOP)
    assert f"pid {agent.pid}, does not end" in run(machine.options(sample_interval="0.5"))
    assert is_alive(agent)


def test_a_folder_that_cannot_be_used_and_a_word_that_is_no_address(
    machine: Machine, run: Ran
) -> None:
    assert "cannot be used: file exists" in run(machine.options(state_dir=machine.files.ca))
    assert "is not an address with a port" in run(machine.options(listen="edge-a"))
    assert not machine.state.exists()
