"""Processes that begin at once: forked from a server of processes that has imported everything.

The server has no threads and no locks of whoever asks, and what it starts can be killed, stopped
and outlived like any other process.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

_PRELOADED = [
    "psycopg",
    "foreshadow.directors.haproxy",
    "foreshadow.instances.agent",
    "tests.support.chaos.runner",
]


def forking() -> ForkServerContext:
    """Return the context whose server has imported what a controller and a load need."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)  # heard only before its first process
    return context
