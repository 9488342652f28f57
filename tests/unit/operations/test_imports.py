"""A switchover loads what it needs, and nothing of what other uses need."""

from __future__ import annotations

import subprocess
import sys

SWITCHOVER = """
import foreshadow.directors.haproxy, foreshadow.instances.agent
import foreshadow.operations.context, foreshadow.operations.switch
import foreshadow.operations.switch_shown
"""
UNUSED = {
    "aiohttp",
    "boto3",
    "botocore",
    "cloudflare",
    "dns",
    "foreshadow.agent",
    "foreshadow.forecast",
    "foreshadow.learning",
    "foreshadow.metrics",
    "foreshadow.report",
    "foreshadow.sync",
    "foreshadow.terraform",
    "jinja2",
    "jmespath",
    "matplotlib",
    "numpy",
    "pandas",
    "prophet",
    "psutil",
    "psycopg",
    "pyarrow",
    "redis",
    "yaml",
}


def loaded_by(code: str) -> set[str]:
    """Return the modules that a Python has loaded after some code."""
    shown = f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def test_a_switchover_loads_nothing_that_it_does_not_use() -> None:
    loaded = loaded_by(SWITCHOVER)
    assert "foreshadow.switchover.engine" in loaded
    assert loaded & UNUSED == set()


def test_what_is_named_here_is_seen_when_it_is_loaded() -> None:
    assert {"foreshadow.agent", "psutil"} <= loaded_by("import foreshadow.agent.recorder")
