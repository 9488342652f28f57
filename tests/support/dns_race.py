"""Actors that want the same record at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from foreshadow.directors.rfc2136 import Rfc2136Director
from foreshadow.domain.errors import DirectorError, FencedError
from foreshadow.testing.directors import DESTINATION, SOURCE
from tests.support.wells import Wells


@dataclass(frozen=True)
class Race:
    """How it ended.

    :ivar winners: the numbers of those who were told that they had done it.
    :ivar told: what the others were told.
    """

    winners: list[int]
    told: list[str]


def patient(wells: Wells) -> dict[str, Any]:
    """Return options of a director that a busy machine does not keep from the race."""
    check = {"port": wells.port, "path": "/healthz", "timeout": "30s"}
    return {"timeout": "10s", "check": check}


def race(actors: Sequence[Rfc2136Director], turn: int) -> Race:
    """Let all of them move the record away from where it is, with one and the same token."""
    to = SOURCE if turn % 2 else DESTINATION
    gate = threading.Barrier(len(actors))

    def run(actor: Rfc2136Director) -> str:
        gate.wait()
        try:
            actor.apply({to: 100}, token=turn + 2)
        except (FencedError, DirectorError) as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(actors)) as pool:
        said = list(pool.map(run, actors))
    return Race([i for i, each in enumerate(said) if not each], [each for each in said if each])
