"""The times that a person gives to a use case."""

from __future__ import annotations

from foreshadow.domain.clock import WallTime, parse_instant
from foreshadow.domain.errors import SpecError


def instant(value: object, where: str) -> WallTime | None:
    """Return the time that was given; ``None`` when none was given.

    :param where: the option it comes from, as ``report, since``.
    :raises SpecError: when it is no time.
    """
    if value is None or value == "":
        return None
    try:
        return WallTime(parse_instant(value))
    except ValueError as error:
        problem, _, remedy = str(error).rpartition(": ")
        raise SpecError(problem, where=where, remedy=remedy) from None
