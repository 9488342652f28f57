"""Durations, sizes and rates as people write them, as the base units that code uses.

Durations become seconds, sizes bytes, bandwidths bytes per second.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "kib": 2**10, "m": 10**6, "mb": 10**6,
         "mib": 2**20, "g": 10**9, "gb": 10**9, "gib": 2**30}  # fmt: skip
_BIT = {"": 8, "bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Return seconds for ``"250ms"``, ``"30m"``, ``"1h30m"`` or a plain number of seconds.

    :raises ValueError: when the text is not a duration, or is negative.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a duration: write 250ms, 30s, 15m, 2h or 1d")
    if isinstance(value, int | float):
        seconds = float(value)
    else:
        text = value.strip().lower()
        parts = _PART.findall(text)
        if not parts or "".join(f"{n}{u}" for n, u in parts) != text.replace(" ", ""):
            raise ValueError(f"{value!r} is not a duration: write 250ms, 30s, 15m, 2h or 1d")
        seconds = 0.0
        for number, unit in parts:
            if (unit or "s") not in _DURATION:
                raise ValueError(f"{value!r} has the unknown unit {unit!r}: use ms, s, m, h, d, w")
            seconds += float(number) * _DURATION[unit or "s"]
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} is not a duration: it must be zero or more")
    return seconds


def without_nul(text: str) -> str:
    """Return a text that a process can be started with."""
    if "\0" in text:
        raise ValueError("it holds a NUL character: take that out")
    return text


def format_duration(seconds: float) -> str:
    """Return a short text for seconds: ``"250ms"``, ``"42s"``, ``"1h30m"``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    left, out = round(seconds), ""
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(_DURATION[unit]))
        out += f"{count}{unit}" if count else ""
    return out


def _scaled(value: object, units: dict[str, int], divisor: int, examples: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _PART.fullmatch(value.strip().lower())):
        number, unit = match.groups()
        if unit in units:
            return int(float(number) * units[unit] / divisor)
    raise ValueError(f"{value!r} cannot be read: write {examples}")


def parse_size(value: object) -> int:
    """Return bytes for ``"512MiB"``, ``"2GB"`` or a plain number of bytes."""
    return _scaled(value, _SIZE, 1, "512MiB, 2GB or a number of bytes")


def parse_bandwidth(value: object) -> int:
    """Return bytes per second for ``"50Mbit"`` or a plain number of bytes per second."""
    return _scaled(value, _BIT, 8, "50Mbit, 1Gbit or a number of bytes per second")


Seconds = Annotated[float, BeforeValidator(parse_duration)]
Bytes = Annotated[int, BeforeValidator(parse_size)]
BytesPerSecond = Annotated[int, BeforeValidator(parse_bandwidth)]
