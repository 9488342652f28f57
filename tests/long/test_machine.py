"""The state machine of ``tests/unit/switchover``, for longer, and with other runs each time.

``MACHINE_RUNS=N`` makes it so many runs (1,000). What it prints when it fails makes it fail again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.switchover.controller import registered_in
from tests.unit.switchover.search import search

RUNS = int(os.environ.get("MACHINE_RUNS", "1000"))


@pytest.mark.timeout(3600)
def test_nothing_that_is_forbidden_ever_happens(tmp_path: Path) -> None:
    search(registered_in(tmp_path), RUNS, steps=12, anew=True)
