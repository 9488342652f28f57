"""Reading the ledger for a person or a playbook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foreshadow.domain.errors import SpecError
from foreshadow.domain.near import unknown
from foreshadow.operations.context import Context
from foreshadow.operations.instants import instant

SUBSETS = ("resources", "hosts", "instances", "decisions", "switchovers", "outcomes", "control")

_MOST = 2**31 - 1
"""More rows than there are; every database takes the number."""


def read_ledger(
    context: Context,
    subset: Sequence[str] | None = None,
    resource: str | None = None,
    since: object = None,
    limit: int = 100,
) -> dict[str, Any]:
    """Return what the ledger knows, as JSON types.

    :param subset: names of :data:`SUBSETS`; ``None`` or empty means all.
    :param resource: only what belongs to it; ``hosts`` are always all.
    :param since: only decisions, switchovers and outcomes from this wall time on.
    :param limit: how many of each of them at most; the newest come first.
    :return: a list for each subset. A resource has ``current_primary`` beside its spec: the host
        on which its primary is now. ``control`` is no list: what persons have decided, as the
        module ``control`` gives it.
    :raises SpecError: when a subset or a time cannot be read.
    :raises UnknownNameError: when the resource is not registered.
    """
    for name in subset or ():
        if name not in SUBSETS:
            raise unknown("subset", name, SUBSETS, where="ledger")
    if limit < 1:
        raise SpecError(f"limit {limit} is less than 1", where="ledger", remedy="ask for 1 or more")
    limit = min(limit, _MOST)
    ledger = context.ledger
    specs = ledger.resources(None if resource is None else [resource])
    start = instant(since, "ledger, since")
    readers: dict[str, Callable[[], object]] = {
        "resources": lambda: [
            {**spec.plain(), "current_primary": ledger.primary(spec.name)} for spec in specs
        ],
        "hosts": lambda: [host.plain() for host in ledger.hosts()],
        "instances": lambda: [each.plain() for each in ledger.instances(resource)],
        "decisions": lambda: list(ledger.decisions(resource, start, limit)),
        "switchovers": lambda: [
            each.plain() for each in ledger.switchovers(resource, start, limit)
        ],
        "outcomes": lambda: [each.plain() for each in ledger.outcomes(resource, start, limit)],
        "control": lambda: ledger.control().plain(),
    }
    return {name: readers[name]() for name in SUBSETS if not subset or name in subset}
