"""Frames: what comes out is what went in, within the memory that a decoder allows itself."""

from __future__ import annotations

import random

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.sync.frames import likened, opened, squeezed

LEVEL = 12


def lines(count: int, seed: int) -> bytes:
    """Return the lines of a log."""
    rng = random.Random(seed)
    words = [f"{rng.randrange(16**6):06x}" for _ in range(200)]
    rows = (
        f"{1_700_000_000 + rng.randrange(10**6)} INFO {rng.randrange(16**12):012x} "
        f"{' '.join(rng.choices(words, k=8))}\n"
        for _ in range(count)
    )
    return "".join(rows).encode()


@pytest.mark.parametrize("size", [0, 1, 1000, 256 * 1024, 1_000_000])
@pytest.mark.parametrize("before", [0, 5, 300_000])
def test_a_quick_frame_holds_what_it_was_made_of(size: int, before: int) -> None:
    data, beside = lines(12_000, 1)[:size], lines(4_000, 2)[:before]

    frame = likened(data, LEVEL, beside)

    assert opened(frame, size, beside) == data
    if size:
        with pytest.raises(SyncError):
            opened(frame, size - 1, beside)


def test_a_quick_frame_of_much_is_as_small_as_a_thorough_one() -> None:
    data = lines(12_000, 3)

    assert len(likened(data, LEVEL)) < 1.03 * len(squeezed(data, LEVEL))


def test_a_quick_frame_finds_the_old_bytes_that_the_new_ones_replace() -> None:
    beside = lines(12_000, 4)
    data = bytearray(beside)
    for at in range(0, len(data), 5_000):
        data[at : at + 8] = b"replaced"

    assert len(likened(bytes(data), LEVEL, beside)) < 0.01 * len(data)


def test_a_quick_frame_never_needs_a_larger_window_than_the_decoder_has() -> None:
    data = random.Random(5).randbytes(1024) * (80 * 1024)

    assert opened(likened(data, LEVEL), len(data)) == data
