"""``foreshadow report`` in a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshadow.cli import main


def test_the_page_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    command = ["report", str(page), "--ledger", f"sqlite:///{tmp_path}/ledger.db"]
    for _ in range(2):
        assert main(command) == 0
    assert capsys.readouterr().out == f"written: {page}\nunchanged: {page}\n"
    assert "<html" in page.read_text()


def test_without_a_ledger_the_way_out_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORESHADOW_LEDGER", raising=False)
    assert main(["report", str(tmp_path / "report.html")]) == 1
    assert "foreshadow: connection option ledger: no ledger is named; set it" in (
        capsys.readouterr().err
    )
