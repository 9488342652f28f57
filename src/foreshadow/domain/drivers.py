"""Finding a driver by its kind: ours and third parties' alike come through entry points."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoints, PackageNotFoundError, distribution, entry_points
from typing import Any

from foreshadow.domain.errors import SpecError

INSTANCES = "foreshadow.instances"
DIRECTORS = "foreshadow.directors"
METRICS = "foreshadow.metrics"
CAPTURE = "foreshadow.capture"


@cache
def load_driver(group: str, kind: str) -> Any:
    """Return the class behind a driver's name; what was found once is kept.

    :param group: one of the entry point groups above.
    :raises SpecError: when no installed package offers the kind, listing those that are there; or
        when the driver needs a package that is not installed.
    """
    found = _ours(group)
    if kind not in found.names:  # only then: to ask every installed package takes its time
        found = entry_points(group=group)
    if kind in found.names:
        try:
            return found[kind].load()
        except ModuleNotFoundError as error:
            raise SpecError(
                f"kind {kind} needs the package {error.name}, which is not installed",
                where=group.replace(".", " "),
                remedy="install the extra of ansible-foreshadow that has it",
            ) from error
    known = sorted(found.names)
    near = difflib.get_close_matches(kind, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"known kinds: {', '.join(known) or 'none'}"
    raise SpecError(f"unknown kind {kind}", where=group.replace(".", " "), remedy=remedy)


def _ours(group: str) -> EntryPoints:
    """Return the drivers that come with this package."""
    try:
        return distribution("ansible-foreshadow").entry_points.select(group=group)
    except PackageNotFoundError:
        return EntryPoints()
