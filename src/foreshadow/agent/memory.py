"""Memory of an agent: what a round took for a moment goes back to the machine."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""The parameter's number in the C library's ``malloc.h``."""
_LARGE = 1024 * 1024


def return_large_pieces() -> None:
    """Let the C library give large pieces back as soon as they are free.

    By itself it learns to keep them, up to 32 MB and in each thread, and an agent that compressed
    one large delta would hold the memory for good. A C library without this setting is left alone.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _LARGE)
