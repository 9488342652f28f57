"""Keeping logs short that processes hold open, so that they cannot be moved away."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

AGENT_LOG = "agent.log"
"""What an agent in the background writes to, in its folder."""

LARGEST_BYTES = 16 * 2**20


def trim(log: Path) -> None:
    """Begin a log anew that has grown long, and keep what it was beside it, as ``<name>.1``.

    Whoever writes to it appends, and goes on at its start.
    """
    if log.exists() and log.stat().st_size > LARGEST_BYTES:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
