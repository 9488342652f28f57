"""The real wall clock. `domain` has the type of it and reads none; everything above may."""

from __future__ import annotations

import time

from foreshadow.domain.clock import WallTime


def system_time() -> WallTime:
    """Return the wall time of this machine."""
    return WallTime(time.time())
