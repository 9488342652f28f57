"""The option that runs the conformance suite is there once the package is installed."""

from __future__ import annotations

from pathlib import Path

from tests.support.suites import run


def test_one_option_runs_the_suite(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--foreshadow-director=shop_traffic:world", autoload=True)
    assert code == 0, said
