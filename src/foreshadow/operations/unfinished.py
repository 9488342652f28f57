"""Keeping off a resource whose switchover broke off: it may have put anything under traffic."""

from __future__ import annotations

from foreshadow.domain.errors import RefusedError
from foreshadow.operations.context import Context


def refuse_unfinished(context: Context, resource: str) -> None:
    """Refuse to touch what a switchover is in the middle of, its controller alive or dead.

    :raises RefusedError: which names the switchover, and the way out.
    """
    for move in context.ledger.unfinished(resource):
        raise RefusedError(
            f"switchover {move.id} to {move.destination} is not finished",
            where=f"resource {resource}",
            remedy="wait for it, or run the module switchover with state recovered",
        )
