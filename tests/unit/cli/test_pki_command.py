"""``foreshadow pki`` in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshadow.cli import main


def test_an_authority_and_a_certificate_are_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = ["pki", "init", str(tmp_path)]
    issue = ["pki", "issue", str(tmp_path), "--kind", "agent", "--name", "edge-a"]
    issue += ["--address", "127.0.0.11"]
    for command in (init, issue, init, issue):
        assert main(command) == 0
    assert [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "made",
        "issued",
        "unchanged",
        "unchanged",
    ]
    assert (tmp_path / "agent-edge-a.pem").exists()


def test_an_error_is_one_line_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pki", "issue", str(tmp_path), "--kind", "agent", "--name", "edge-a"]
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"foreshadow: {tmp_path}: there is no authority; make it with foreshadow pki init "
        f"{tmp_path}\n"
    )


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
