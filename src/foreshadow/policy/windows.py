"""When switching is allowed: windows and blackouts as instants, over every change of a clock.

A window is what lies between two readings of the clock on the wall in its zone. Where that clock
jumps ahead, a reading that does not exist is the moment of the jump; where it goes back, a window
begins at the first of two equal readings and ends at the second. So a window is always in one
piece, and one that lies wholly in the hour that does not exist is not there on that day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from foreshadow.domain.clock import WallTime
from foreshadow.domain.units import format_duration
from foreshadow.domain.windows import DAYS, WindowSpec

_DAYS_AHEAD = 10
"""How many days are looked at for one that begins on a day of the week: every day comes in it."""
_TURNS = 200
"""How often a way out of one blackout may lead into the next before it is given up."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; its end is not part of it."""

    start: WallTime
    end: WallTime


@dataclass(frozen=True, slots=True)
class Shut:
    """Why switching is not allowed now.

    :ivar opens_at: when it is again; ``None`` when that is not known.
    """

    reason: str
    opens_at: WallTime | None


def shut(
    windows: Sequence[WindowSpec], blackouts: Sequence[WindowSpec], now: WallTime
) -> Shut | None:
    """Return why switching is not allowed now, or ``None`` when it is.

    :param windows: when it is allowed; empty: at any time.
    :param blackouts: when it is not, whatever the windows say.
    """
    for blackout in blackouts:
        if covering(blackout, now) is not None:
            why = f" ({blackout.reason})" if blackout.reason else ""
            return _shut(f"a blackout holds{why}", windows, blackouts, now)
    if windows and not any(covering(window, now) for window in windows):
        return _shut("it is outside of policy.windows", windows, blackouts, now)
    return None


def opens_at(
    windows: Sequence[WindowSpec], blackouts: Sequence[WindowSpec], now: WallTime
) -> WallTime | None:
    """Return the first moment from now on at which switching is allowed.

    ``None`` when there is none, or it is hidden behind very many blackouts.
    """
    at = now
    for _ in range(_TURNS):
        held = [span.end for each in blackouts if (span := covering(each, at)) is not None]
        if held:
            at = max(held)
            continue
        if not windows or any(covering(window, at) for window in windows):
            return at
        begins = [span.start for each in windows if (span := _next(each, at)) is not None]
        if not begins:
            return None
        at = min(begins)
    return None


def covering(window: WindowSpec, at: WallTime) -> Span | None:
    """Return the stretch of a window that a moment lies in."""
    first = _next(window, at)
    return first if first is not None and first.start <= at else None


def spans(window: WindowSpec, after: WallTime) -> Iterator[Span]:
    """Yield the stretches of a window that end after a moment, in order, those of the near future.

    At least the first one is among them, if there is any.
    """
    if window.once:
        start, end = window.instants()
        found: Iterator[Span] = iter([_span(start, end)])
    elif window.cron is not None:
        found = _by_cron(window, window.cron, after)
    else:
        found = _by_day(window, after)
    return (span for span in found if span.start < span.end and span.end > after)


def _next(window: WindowSpec, after: WallTime) -> Span | None:
    return next(spans(window, after), None)


def _by_day(window: WindowSpec, after: WallTime) -> Iterator[Span]:
    zone = ZoneInfo(window.zone)
    begins, ends = str(window.from_), str(window.to)
    today = datetime.fromtimestamp(after, zone).date()
    # A day more than could be needed: one that a zone skipped may have been the day before.
    for ahead in range(-2, _DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if window.days and DAYS[day.weekday()] not in window.days:
            continue
        closing = day if ends > begins else day + timedelta(days=1)
        yield _span(_instant(day, begins, zone, 0), _instant(closing, ends, zone, 1))


def _by_cron(window: WindowSpec, line: str, after: WallTime) -> Iterator[Span]:
    length = timedelta(seconds=window.for_ or 0.0)
    since = datetime.fromtimestamp(after, ZoneInfo(window.zone))
    earliest = (since.astimezone(UTC) - length).astimezone(since.tzinfo)
    for _, begins in zip(range(_TURNS), CronSim(line, earliest), strict=False):
        start = begins.astimezone(UTC)
        yield _span(start, start + length)


def _instant(day: date, clock: str, zone: ZoneInfo, fold: int) -> datetime:
    """Return when the clock on the wall shows a time, or first shows a later one.

    :param fold: which of two equal readings: 0 is the first.
    """
    hour, minute = (int(part) for part in clock.split(":"))
    day, hour = (day + timedelta(days=1), 0) if hour == 24 else (day, hour)
    wall = datetime.combine(day, time(hour, minute), zone)
    instant = wall.replace(fold=fold).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    return _jump(wall, zone)


def _jump(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the clock jumps over a reading."""
    # Read with the offset of after the jump it lies before it, with that of before, after it.
    low, high = (wall.replace(fold=fold).astimezone(UTC) for fold in (1, 0))
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _span(start: datetime, end: datetime) -> Span:
    return Span(WallTime(start.timestamp()), WallTime(end.timestamp()))


def _shut(
    why: str, windows: Sequence[WindowSpec], blackouts: Sequence[WindowSpec], now: WallTime
) -> Shut:
    at = opens_at(windows, blackouts, now)
    if at is None:
        return Shut(f"{why}, and when switching is allowed again is not known", None)
    zone = next((each.zone for each in (*windows, *blackouts)), "UTC")
    shown = datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %Z")
    return Shut(f"{why}; switching is allowed from {shown}, in {format_duration(at - now)}", at)
