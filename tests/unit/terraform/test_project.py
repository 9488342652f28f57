"""The adapter against a Terraform that misbehaves as it is told."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foreshadow.domain.errors import RefusedError, SpecError, StalePlanError, TerraformError
from foreshadow.terraform import Project, read_state_file

FAKE = """#!/bin/sh
printf '%s\\n' "$*" >> "{folder}/calls"
printf '%s\\n' "$TF_DATA_DIR" >> "{folder}/data_dirs"
{body}
"""
LOCKED = """
Error: Error acquiring the state lock

Error message: resource temporarily unavailable
Lock Info:
  ID:        8f050aad-5e89-4ef3-3f8c-9a5e8afe1104
  Path:      terraform.tfstate
  Operation: OperationTypeApply
  Who:       ann@build-7
  Version:   1.11.4
  Created:   2026-11-24 06:20:04.301629681 +0000 UTC
  Info:

Terraform acquires a state lock to protect the state from being written
by multiple users at the same time.
"""
STATE = """{"format_version":"1.0","values":{"outputs":{
"foreshadow_hosts":{"sensitive":false,"value":[{"name":"a"}]},
"password":{"sensitive":true,"value":"hunter22"}},
"root_module":{"child_modules":[{"resources":[{
"address":"module.pool.terraform_data.agent[\\"a\\"]","mode":"managed","type":"terraform_data","name":"agent","index":"a"}]}]}}}"""
Made = Callable[..., Project]


@pytest.fixture
def project(tmp_path: Path) -> Made:
    """Make a project whose Terraform is a script."""

    def make(body: str, **options: object) -> Project:
        program = tmp_path / "terraform"
        program.write_text(FAKE.format(folder=tmp_path, body=body))
        program.chmod(0o755)
        folder = tmp_path / "project"
        folder.mkdir(exist_ok=True)
        return Project(folder, program=str(program), **options)  # type: ignore[arg-type]

    return make


def says(text: str, status: int = 1) -> str:
    return f"cat >&2 <<'END'\n{text}\nEND\nexit {status}"


def told(made: Project) -> str:
    with pytest.raises(TerraformError) as caught:
        made.snapshot()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_state_is_read_and_a_sensitive_value_is_never_shown(project: Made) -> None:
    snapshot = project(f"cat <<'END'\n{STATE}\nEND").snapshot()
    assert snapshot.outputs["foreshadow_hosts"].value == [{"name": "a"}]
    assert snapshot.outputs["password"].sensitive
    assert "hunter22" not in repr(snapshot)
    (starter,) = snapshot.resources
    assert starter.address == 'module.pool.terraform_data.agent["a"]'


@pytest.mark.parametrize(
    "text", ["", "garbage", "[]", '{"a": 1}', '{"format_version": "1", "values": {"outputs": [1]}}']
)
def test_garbage_is_told(project: Made, text: str) -> None:
    assert "what terraform show -json says cannot be read" in told(project(f"echo '{text}'"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Take SIGINT: what a script starts in the background ignores it, and so do its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_hanging_terraform_gets_sigint_first(project: Made, tmp_path: Path) -> None:
    body = f"trap 'echo interrupted > {tmp_path}/signal; exit 1' INT\nwhile :; do sleep 0.05; done"
    line = told(project(body, seconds=3.0))
    assert "took longer than 3s and was interrupted" in line
    assert (tmp_path / "signal").read_text() == "interrupted\n"


def test_one_that_ignores_sigint_is_killed_with_what_it_started(
    project: Made, tmp_path: Path
) -> None:
    body = f"trap '' INT\nsleep 60 & echo $! > {tmp_path}/child\nwait; wait; sleep 60"
    line = told(project(body, seconds=3.0, grace=0.3))
    assert "was killed" in line
    assert "force-unlock" in line
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    assert not child.exists() or child.read_text().rsplit(")", 1)[1].split()[0] in "ZX"


def test_a_daemon_that_keeps_the_streams_holds_nothing_up(project: Made, tmp_path: Path) -> None:
    body = f"sleep 20 & echo $! > {tmp_path}/child\ncat <<'END'\n{STATE}\nEND"
    try:
        assert project(body, seconds=10.0).snapshot().outputs
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)


def test_a_lock_names_its_holder_and_the_way_out(project: Made) -> None:
    with pytest.raises(RefusedError) as caught, project(says(LOCKED)).plan():
        pass
    line = str(caught.value)
    assert "its state is locked by ann@build-7 for apply since 2026-11-24 06:20:04 UTC" in line
    assert line.endswith("force-unlock 8f050aad-5e89-4ef3-3f8c-9a5e8afe1104")


def test_a_plan_that_is_too_old_is_told(project: Made) -> None:
    made = project(
        says("\nError: Saved plan is stale\n\nThe given plan file can no longer be applied.")
    )
    with pytest.raises(StalePlanError, match="plan again"):
        made._run("apply", change=True)


@pytest.mark.parametrize(
    ("title", "kind", "words"),
    [
        ("Module not installed", TerraformError, "is not initialised: module not installed; run terraform -chdir="),  # noqa: E501
        ('Backend initialization required, please run "terraform init"', TerraformError, "is not initialised"),  # noqa: E501
        ("Unsupported argument\n\n  on main.tf line 3:\n   3: inpt = 1\n\nNo such argument.", SpecError, "Unsupported argument (main.tf:3): No such argument"),  # noqa: E501
        ("local-exec provisioner error\n\n  with x,\n  on a.tf line 9:\n   9: p {\n\nError running command 'x': exit status 1. Output: foreshadow: agent at y: cannot listen", TerraformError, "agent at y: cannot listen"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_complaint_is_one_line(
    project: Made, title: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        project(says(f"\nError: {title}\n")).snapshot()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_status_without_a_word_is_told(project: Made) -> None:
    assert "terraform show ended with status 7 and said nothing" in told(project("exit 7"))


def test_secrets_are_hidden_in_what_terraform_says(
    project: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_api_token", "from-the-environment")
    made = project(
        says("\nError: Odd\n\nfrom-the-environment and sesame-street do not work"),
        variables={"db": {"password": "sesame-street"}},
    )
    line = told(made)
    assert "(hidden) and (hidden) do not work" in line
    assert "sesame" not in repr(made)


def test_variables_travel_through_a_file_that_goes_away(
    project: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    body = f'for word in "$@"; do case $word in -var-file=*) cat "${{word#-var-file=}}" >> {tmp_path}/seen;; esac; done\nexit 1'  # noqa: E501
    with caplog.at_level(logging.DEBUG), pytest.raises(TerraformError), project(
        body, variables={"token": "open-sesame"}
    ).plan():  # fmt: skip
        pass
    assert (tmp_path / "seen").read_text() == '{"token": "open-sesame"}'
    assert "open-sesame" not in (tmp_path / "calls").read_text() + caplog.text
    assert list(scratch.iterdir()) == []


def test_a_read_only_project_keeps_its_data_elsewhere(
    project: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    body = f"cat <<'END'\n{STATE}\nEND"
    project(body).snapshot()
    # Root may write everywhere, so the question itself is answered here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    made = project(body)
    monkeypatch.setattr("foreshadow.terraform.project.find_program", lambda *_: made.program)
    made.snapshot()
    inside, outside = (tmp_path / "data_dirs").read_text().splitlines()
    assert inside == ""
    assert Path(outside).is_relative_to(tmp_path / "cache" / "foreshadow" / "terraform")


def test_a_missing_program_a_missing_folder_and_a_missing_state(tmp_path: Path) -> None:
    with pytest.raises(TerraformError, match="there is no program no-terraform on PATH"):
        Project(tmp_path, program="no-terraform").snapshot()
    with pytest.raises(SpecError, match="there is no such folder"):
        Project(tmp_path / "no").snapshot()
    with pytest.raises(SpecError, match="there is no such file"):
        read_state_file(tmp_path / "no")
