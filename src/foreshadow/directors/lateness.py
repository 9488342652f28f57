"""Refusing an actor whose fencing token is older than one that was seen."""

from __future__ import annotations

from foreshadow.domain.errors import FencedError


def refuse_older(token: int, seen: int, where: str) -> None:
    """Refuse a token that is older than the newest one that was seen.

    :raises FencedError: when it is.
    """
    if token < seen:
        raise FencedError(
            f"token {token} is late: {seen} has been seen there",
            where=where,
            remedy="stop; somebody newer moves this resource",
        )
