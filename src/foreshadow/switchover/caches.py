"""Directors whose answers others keep: in which order to change them, and how long to wait."""

from __future__ import annotations

from collections.abc import Sequence

from foreshadow.domain.clock import WallTime
from foreshadow.domain.protocols import CachingDirector, Director


def caching(directors: Sequence[Director]) -> tuple[CachingDirector, ...]:
    """Return the directors whose answers are cached."""
    return tuple(director for director in directors if isinstance(director, CachingDirector))


def inner_first(directors: Sequence[Director]) -> tuple[Director, ...]:
    """Return directors in the order in which a host comes into traffic.

    What clients ask first, a name, comes last: it never leads to what is not ready behind it.
    Among the others, and among names, it is the order of the spec. The way back is the reverse.
    """
    return tuple(sorted(directors, key=lambda director: isinstance(director, CachingDirector)))


def splits(directors: Sequence[Director]) -> bool:
    """Return whether every director can share traffic by percentages."""
    return all(director.shares() for director in caching(directors))


def kept_for(directors: Sequence[Director], host: str, now: WallTime) -> float:
    """Return for how many seconds somebody may still have a host's address."""
    return max((director.cached_until(host) - now for director in caching(directors)), default=0.0)
