"""When something may happen, or may not, as a person writes it.

Three ways to write a stretch of time, each in the time zone of ``zone`` (default UTC)::

    {days: [mon-fri], from: "22:00", to: "04:00", zone: Europe/Berlin}  # comes again
    {cron: "0 2 * * SUN#1", for: 4h, zone: Europe/Berlin}               # the same, by a cron line
    {from: 2026-12-24T12:00, to: 2026-12-27T06:00, zone: Europe/Berlin} # comes once

``days`` are those on which it begins. What instants they are is worked out in
:mod:`foreshadow.policy.windows`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from foreshadow.domain.strict import STRICT
from foreshadow.domain.units import Seconds, without_nul

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = {
    name: name[:3]
    for name in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")
_DAY_MINUTES = 24 * 60
_LONGEST = 31 * 86400.0
_REMEDY = 'write "22:00" or 2026-12-24T12:00'


def _zone(name: str) -> str:
    """Return the name of a time zone that is known here."""
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not there, a folder, or no path at all
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        remedy = f"did you mean {near[0]}?" if near else "write such as Europe/Berlin"
        raise ValueError(f"{name[:60]!r} is not a time zone: {remedy}") from None
    return name


def _edge(value: object) -> str:
    """Return a time of day as ``HH:MM``, or a date and time in ISO 8601.

    YAML reads 22:00 without quotes as a number of minutes, and 2026-12-24 as a date.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _DAY_MINUTES:
        return f"{value // 60:02d}:{value % 60:02d}"
    if isinstance(value, str):
        text = value.strip()
        clock = _CLOCK.fullmatch(text)
        if clock is not None:
            hour, minute = int(clock[1]), int(clock[2])
            if minute < 60 and hour * 60 + minute <= _DAY_MINUTES:
                return f"{hour:02d}:{minute:02d}"
        elif text:
            try:
                return datetime.fromisoformat(text).isoformat()
            except ValueError:
                pass
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, date):
        return datetime.combine(value, time()).isoformat()
    raise ValueError(f"{value!r} is not a time: {_REMEDY}")


def _days(value: object) -> tuple[str, ...]:
    """Return the days in the order of a week; ``mon-fri`` is a range, ``fri-mon`` one as well."""
    parts: Iterable[object] = value.split(",") if isinstance(value, str) else ()
    if isinstance(value, list | tuple):
        parts = value
    elif not isinstance(value, str):
        raise ValueError(f"{value!r} are no days: write such as [mon-fri] or [sat, sun]")
    found = {day for part in parts for day in _range(str(part).strip().lower())}
    return tuple(day for day in DAYS if day in found)


def _range(text: str) -> tuple[str, ...]:
    ends = [_LONG.get(end.strip(), end.strip()) for end in text.split("-")]
    if len(ends) > 2 or not set(ends) <= set(DAYS):
        raise ValueError(f"{text!r} is not a day: write mon, tue, … or a range such as mon-fri")
    first, last = DAYS.index(ends[0]), DAYS.index(ends[-1])
    return tuple(DAYS[(first + k) % 7] for k in range((last - first) % 7 + 1))


def _cron(text: str) -> str:
    if len(text.split()) != 5:
        raise ValueError(
            f"{text[:60]!r} is not a cron line: write minute, hour, day, month and day of the week"
        )
    try:
        CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        said = str(error).lower().removeprefix("bad ")
        raise ValueError(
            f"{text[:60]!r} is not a cron line ({said}): write such as 0 2 * * SUN"
        ) from None
    return text


Edge = Annotated[str, BeforeValidator(_edge)]


class WindowSpec(BaseModel):
    """A stretch of time: daily or on some days, by a cron line, or once.

    :ivar from_: written ``from``; when it begins: ``HH:MM``, or a date and time.
    :ivar to: when it ends, not included; an earlier time of day is that of the next day.
    :ivar cron: when it begins; ``for_``, written ``for``, is how long it lasts.
    :ivar days: on which it begins; empty: on every day.
    :ivar reason: what for; told whenever it stands against a move.
    """

    model_config = STRICT

    from_: Annotated[Edge | None, Field(alias="from")] = None
    to: Edge | None = None
    days: Annotated[tuple[str, ...], BeforeValidator(_days)] = ()
    cron: Annotated[str, AfterValidator(_cron)] | None = None
    for_: Annotated[Seconds | None, Field(alias="for")] = None
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    reason: Annotated[str, AfterValidator(without_nul)] = ""

    @property
    def once(self) -> bool:
        """Return whether it comes once, from a date on."""
        return self.from_ is not None and "T" in self.from_

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_clock, by_cron = (self.from_, self.to), (self.cron, self.for_)
        if any(part is not None for part in by_clock) == any(part is not None for part in by_cron):
            raise ValueError("is not a window: give from and to, or cron and for")
        if (None in by_clock) and (None in by_cron):
            missing = "for" if self.for_ is None and self.cron else "cron" if self.for_ else None
            missing = missing or ("to" if self.to is None else "from")
            raise ValueError(f"is half a window: add {missing}")
        if self.for_ is not None:
            self._refuse_length(self.for_)
        elif "T" in str(self.from_) or "T" in str(self.to):
            self._check_once()
        elif self.from_ == self.to or self.from_ == "24:00":
            raise ValueError("is empty: for a whole day write from 00:00 to 24:00")
        if self.days and (self.cron or self.once):
            raise ValueError("days go with times of day: leave them out")
        return self

    def _refuse_length(self, seconds: float) -> None:
        if not 60 <= seconds <= _LONGEST:
            raise ValueError("for is how long it lasts: write between 1m and 31d")

    def _check_once(self) -> None:
        if not ("T" in str(self.from_) and "T" in str(self.to)):
            raise ValueError("mixes a date with a time of day: give both ends with a date")
        start, end = self.instants()
        if start >= end:
            raise ValueError("ends before it begins: swap from and to")

    def instants(self) -> tuple[datetime, datetime]:
        """Return both ends of a window that comes once; those without an offset are in ``zone``."""
        ends = (datetime.fromisoformat(str(end)) for end in (self.from_, self.to))
        start, end = (e if e.tzinfo else e.replace(tzinfo=ZoneInfo(self.zone)) for e in ends)
        return start.astimezone(UTC), end.astimezone(UTC)

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the keys as a person writes them, without those that were left out."""
        plain = handler(self)
        named = {key.rstrip("_"): value for key, value in plain.items()}
        return {key: value for key, value in named.items() if value or key == "zone"}


class EventSpec(WindowSpec):
    """A planned event: a ``blackout``, during which nothing is switched by itself."""

    kind: Literal["blackout"]
