"""A file to which more was appended than a patch may hold."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.sync import messages, send
from foreshadow.sync.patches import patch
from tests.unit.sync.trees import CutError, Pair

OLD, MORE = 900_000, 400_000


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A log that was sent, and then grew by more than the limit."""
    monkeypatch.setattr(patch, "_MOST_LITERALS", MORE // 2)
    monkeypatch.setattr(send, "BATCH", 64 * 1024)
    monkeypatch.setattr(messages, "BATCH", 64 * 1024)
    pair = Pair(tmp_path)
    (pair.state / "log").write_bytes(random.Random(1).randbytes(OLD))
    await pair.send()
    with (pair.state / "log").open("ab") as stream:
        stream.write(random.Random(2).randbytes(MORE))
    return pair


async def test_only_the_tail_is_sent(pair: Pair) -> None:
    sent = await pair.send()
    assert pair.same()
    assert MORE < sent.bytes_sent < MORE * 1.02


async def test_a_round_that_breaks_off_goes_on_in_the_tail(pair: Pair) -> None:
    pair.link.push_fault = lambda parts: parts[:4]
    with pytest.raises(SyncError, match="not sent to their end"):
        await pair.send()
    pair.link.push_fault = None
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent < MORE * 0.7


async def test_a_tail_that_does_not_fit_is_refused_and_then_all_is_sent(pair: Pair) -> None:
    """Such as one behind an old content that is damaged, where no time tells of it."""
    path = pair.version / "log"
    was, status = path.read_bytes(), path.stat()
    with path.open("r+b") as stream:
        stream.write(b"damaged")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.read_bytes() != was
    with pytest.raises((SyncError, CutError), match="do not have the hash"):
        await pair.send()
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent > OLD + MORE


async def test_what_changed_before_the_tail_too_is_sent_as_a_whole(pair: Pair) -> None:
    with (pair.state / "log").open("r+b") as stream:
        stream.write(b"changed")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent > OLD
