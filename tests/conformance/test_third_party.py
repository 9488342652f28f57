"""The suite of directors on a third party's driver, run as ``docs/drivers.md`` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.suites import run


def test_a_driver_that_does_its_part_passes(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--foreshadow-director=shop_traffic:world", "-rs")
    assert code == 0, said
    passed = re.search(r"(\d+) passed", said)
    assert passed, said
    assert int(passed[1]) > 15
    skipped = {line.partition(": ")[2] for line in said.splitlines() if "SKIPPED" in line}
    assert skipped == {"run above already", "its answers are not cached: it is no CachingDirector"}


def test_a_driver_may_say_what_it_cannot_do(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--foreshadow-director=shop_traffic:simple")
    assert code == 0, said
    code, said = run(tmp_path, "--foreshadow-director=shop_traffic:boasting")
    assert code == 1
    assert "test_traffic_moves_in_steps_and_back" in said


def test_a_driver_that_does_not_is_told_where(tmp_path: Path) -> None:
    code, said = run(tmp_path, "--foreshadow-director=shop_traffic:careless")
    assert code == 1, said
    assert "test_an_older_token_is_refused" in said
    assert "DID NOT RAISE" in said


def test_without_a_driver_nothing_is_claimed(tmp_path: Path) -> None:
    said = run(tmp_path, "-rs")[1]
    assert "passed" not in said, said
    assert "give --foreshadow-director=MODULE:FACTORY" in said


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("shop_traffic", "is not MODULE:FACTORY"),
        ("nowhere:world", "cannot be loaded: No module named 'nowhere'"),
        ("shop_traffic:missing", "cannot be loaded: module 'shop_traffic' has no attribute"),
        ("shop_traffic:NO_WORLD", "is no function that gives a world"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(tmp_path: Path, named: str, told: str) -> None:
    code, said = run(tmp_path, f"--foreshadow-director={named}")
    assert code == 4
    assert told in said
    assert "Traceback" not in said
