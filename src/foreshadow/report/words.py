"""Amounts and times as the page writes them."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "–"
GAP = "\u00a0"
"""Between a number and its unit: a space at which no line breaks."""


def instant(at: float | None) -> str:
    """Return a time in UTC to the second, as people read it."""
    if at is None:
        return NOTHING
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float | None) -> str:
    """Return a duration to about three digits, kept together on one line."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.3g}{GAP}ms"
    if seconds < 60:
        return f"{seconds:.3g}{GAP}s"
    left, parts = round(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{GAP}{unit}")
    return GAP.join(parts[:2])


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage."""
    return NOTHING if ratio is None else f"{ratio * 100:.0f}{GAP}%"


def share(value: float) -> str:
    """Return a term or a weight to two places."""
    return f"{value:.2f}"


def count(value: int) -> str:
    """Return a whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def plural(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
