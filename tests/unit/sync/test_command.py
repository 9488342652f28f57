"""A hook that prints a snapshot of the state."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SpecError, SyncError
from foreshadow.domain.protocols import Capture, Scene
from foreshadow.domain.spec import StateSpec
from foreshadow.sync.captures import load_captures
from foreshadow.sync.command import CommandCapture
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.snapshot import Photographer
from tests.unit.sync.trees import scene


@pytest.fixture
def place(tmp_path: Path) -> Scene:
    (tmp_path / "live").mkdir()
    (tmp_path / "scratch").mkdir()
    return replace(scene(tmp_path / "live"), scratch=tmp_path / "scratch")


def shell(script: str, **options: Any) -> CommandCapture:
    return CommandCapture({"command": ["/bin/sh", "-c", script], "path": "dump.txt", **options})


def printed(capture: CommandCapture, place: Scene) -> Path:
    (found,) = capture.capture(place).found
    assert found.path == "dump.txt"
    return Path(found.source)


def test_what_it_prints_is_the_file_and_equal_output_is_the_same_file(
    place: Scene, tmp_path: Path
) -> None:
    source = tmp_path / "counter"
    source.write_text("one")
    capture = shell(f"cat {source}; echo warning >&2")
    first = printed(capture, place)
    assert first.read_text() == "one"
    assert first.stat().st_mode & 0o777 == 0o600
    before = first.stat()
    assert printed(capture, place).stat().st_ino == before.st_ino
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    source.write_text("two")
    assert printed(capture, place).read_text() == "two"
    assert [path.name for path in place.scratch.iterdir()] == [first.name]


def test_it_runs_without_a_shell_with_the_values_and_environment_of_hooks(place: Scene) -> None:
    script = "import os, sys; print(sys.argv[1:], os.environ, os.getcwd())"
    argv = [sys.executable, "-c", script, "{address}:{port}", "$HOME", "{other}"]
    hooked = replace(
        place, popen=lambda: {"env": {"TOLD": "yes"}, "cwd": place.state, "start_new_session": True}
    )
    said = printed(CommandCapture({"command": argv, "path": "{state}/dump.txt"}), hooked)
    text = said.read_text()
    assert text.startswith("['127.0.0.1:1', '$HOME', '{other}']")
    assert "'TOLD': 'yes'" in text
    assert "FORESHADOW" not in text
    assert text.endswith(f"{place.state}\n")


def test_its_file_is_its_own_in_a_folder_that_is_captured_too(place: Scene, tmp_path: Path) -> None:
    (place.state / "dump.txt").write_text("an old one that the service loaded")
    captures: list[Capture] = [FilesCapture({}), shell("echo new")]
    snapshot = Photographer(tmp_path / "source", captures).take(place, WallTime(1.0))
    (entry,) = snapshot.entries
    assert (entry.path, entry.size) == ("dump.txt", 4)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo one >&2; echo two >&2; exit 3", "/bin/sh ended with status 3: one | two; correct"),
        ("kill -KILL $$", "/bin/sh was killed by SIGKILL"),
        ("yes", "/bin/sh printed more than 1000 bytes"),
        ("head -c 1001 /dev/zero", "printed more than 1000 bytes"),
        ("sleep 60", "did not end within 300ms"),
        ("exec >&-; sleep 60", "did not end within 300ms"),
    ],
)
def test_a_failure_is_told_in_one_line_and_leaves_nothing(
    place: Scene, script: str, said: str
) -> None:
    capture = shell(script, max_size=1000, timeout=0.3)
    with pytest.raises(SyncError, match=said) as caught:
        capture.capture(place)
    assert "\n" not in str(caught.value)
    assert list(place.scratch.iterdir()) == []
    assert [child for child in psutil.Process().children() if child.name() in {"yes", "sh"}] == []


def test_a_failed_run_leaves_the_last_good_one(place: Scene, tmp_path: Path) -> None:
    capture = shell(f"echo good; test ! -e {tmp_path}/broken")
    good = printed(capture, place)
    (tmp_path / "broken").touch()
    with pytest.raises(SyncError):
        capture.capture(place)
    assert good.read_text() == "good\n"


def test_all_of_a_large_output_is_kept(place: Scene) -> None:
    assert printed(shell("head -c 3000000 /dev/zero"), place).stat().st_size == 3_000_000
    assert printed(shell("true"), place).stat().st_size == 0


def test_what_it_leaves_running_holds_nobody_up(place: Scene, tmp_path: Path) -> None:
    capture = shell(f"echo snapshot; sleep 60 & echo $! > {tmp_path}/pid", timeout=30)
    assert printed(capture, place).read_text() == "snapshot\n"
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_a_program_that_is_not_there_is_told(place: Scene) -> None:
    with pytest.raises(SyncError, match="/nowhere/dump cannot be run: no such file"):
        CommandCapture({"command": ["/nowhere/dump"], "path": "a"}).capture(place)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "is required"),
        ({"command": []}, "is empty"),
        ({"command": "dump --all"}, "must be a list"),
        ({"command": [""]}, "at least 1 character"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"path": "../dump"}, "is no file below"),
        ({"path": "/etc/dump"}, "is no file below"),
        ({"timeout": 0}, "greater than 0"),
        ({"max_size": "plenty"}, "cannot be read"),
    ],
)
def test_odd_options_are_told_in_one_line(options: dict[str, Any], said: str) -> None:
    good = {"command": ["dump"], "path": "dump.txt"}
    with pytest.raises(SpecError, match=said):
        CommandCapture({**good, **options} if options else {})


def test_the_spec_knows_the_kind() -> None:
    raw = {"kind": "command", "command": ["/bin/true"], "path": "dump", "max_size": "1MiB"}
    assert isinstance(load_captures([StateSpec.model_validate(raw)])[0], CommandCapture)
