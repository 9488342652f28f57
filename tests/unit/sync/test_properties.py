"""Random trees, random edits, random faults of the wire: always equal, or refused whole."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshadow.domain.errors import SyncError
from foreshadow.sync import messages, outbox, send, spares
from foreshadow.sync.durable import remove_tree
from tests.unit.sync.trees import CutError, Fault, Pair, look

NAMES = st.sampled_from(["a", "b", "c", "d", "é", "long" * 20])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
SIZES = st.sampled_from([0, 1, 100, 5_000, 40_000, 300_000])
EDITS = st.one_of(
    st.tuples(st.just("write"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("append"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("poke"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("noise"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("splice"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("mode"), PATHS, st.sampled_from([0o600, 0o644, 0o755]), st.just(0)),
    st.tuples(st.just("touch"), PATHS, st.integers(0, 10**18), st.just(0)),
    st.tuples(st.just("remove"), PATHS, st.just(0), st.just(0)),
    st.tuples(st.just("rename"), PATHS, st.just(0), st.just(0)),
    st.tuples(st.just("link"), PATHS, st.just(0), st.just(0)),
)
FAULTS = st.tuples(
    st.sampled_from(["none", "cut", "flip", "truncate", "swap", "replay", "garbage", "old"]),
    st.sampled_from(["small", "offer", "push"]),
    st.floats(0, 0.999),
    st.floats(0, 0.999),
)
ROUNDS = st.lists(
    st.tuples(st.lists(EDITS, max_size=6), FAULTS, st.booleans(), st.booleans()),
    min_size=1,
    max_size=5,
)


@pytest.fixture(autouse=True)
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "BATCH", 4096)
    monkeypatch.setattr(messages, "ENTRIES_PER_PART", 3)
    monkeypatch.setattr(spares, "LEAST", 1)
    monkeypatch.setattr(outbox, "LEAST", 1)
    # The disk's own promise is not what is tested here, and it takes most of the time.
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ROUNDS)
def test_rounds_end_equal_or_leave_the_version_before(rounds: list[Any]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sync-"))
    try:
        asyncio.run(_play(Pair(folder / "pair"), rounds))
    finally:
        remove_tree(folder)


async def _play(pair: Pair, rounds: list[Any]) -> None:
    for edits, (fault, message, where, bit), source_dies, destination_dies in rounds:
        for edit in edits:
            _edit(pair.state, *edit)
        before = look(pair.version.resolve()) if pair.version.exists() else None
        old = [pair.link.small] if message == "small" else pair.link.pushed
        broken = _fault(fault, where, bit, old)
        pair.link.small_fault = broken if message == "small" else None
        pair.link.offer_fault = broken if message == "offer" else None
        pair.link.push_fault = broken if message == "push" else None
        try:
            await pair.send()
        except (SyncError, CutError):
            after = look(pair.version.resolve()) if pair.version.exists() else None
            assert after == before
        else:
            assert pair.same()
        if source_dies:
            pair.restart_source()
            pair.destination.root = None
        if destination_dies:
            pair.restart_destination()
    pair.link.small_fault = pair.link.offer_fault = pair.link.push_fault = None
    await pair.send()
    assert pair.same()
    await pair.send()
    assert not (pair.shadow / "incoming/tree").exists()
    assert len(list((pair.shadow / "versions").iterdir())) <= 2


def _fault(kind: str, where: float, bit: float, old: list[bytes]) -> Fault | None:
    def broken(parts: list[bytes]) -> list[bytes]:
        at = int(where * len(parts))
        part = parts[at]
        match kind:
            case "cut":
                return parts[: at or 1]
            case "flip":
                place = int(bit * len(part) * 8)
                flipped = bytearray(part)
                if flipped:
                    flipped[place // 8] ^= 1 << place % 8
                return [*parts[:at], bytes(flipped), *parts[at + 1 :]]
            case "truncate":
                return [*parts[:at], part[: int(bit * len(part))], *parts[at + 1 :]]
            case "swap":
                other = int(bit * len(parts))
                swapped = list(parts)
                swapped[at], swapped[other] = swapped[other], swapped[at]
                return swapped
            case "replay":
                return [*parts[: at + 1], part, *parts[at + 1 :]]
            case "garbage":
                return [*parts[:at], os.urandom(40), *parts[at:]]
            case _:
                return [parts[0], *old[1:]] if len(parts) > 1 else old or parts

    return None if kind == "none" else broken


def _edit(root: Path, kind: str, name: str, number: int, seed: int) -> None:
    path = root / name
    if kind in {"write", "link"}:
        _make_room(root, path)
        if not path.is_dir():
            _create(path, kind, number, seed, climbs=name.count("/"))
    elif path.exists() and not path.is_symlink():
        _change(root, path, kind, number, seed)


def _make_room(root: Path, path: Path) -> None:
    for parent in reversed([path.parent, *path.parent.parents]):
        if parent.is_relative_to(root) and not parent.is_dir():
            parent.unlink(missing_ok=True)
            parent.mkdir()


def _create(path: Path, kind: str, number: int, seed: int, climbs: int) -> None:
    path.unlink(missing_ok=True)
    if kind == "write":
        path.write_bytes(bytes([seed]) * number)
    else:
        path.symlink_to(["a", "./b", "../" * climbs + "a/b"][seed % 3])


def _change(root: Path, path: Path, kind: str, number: int, seed: int) -> None:
    match kind, path.is_dir():
        case "append", False:
            with path.open("ab") as out:
                out.write(bytes([seed]) * number)
        case "noise", False:
            path.write_bytes(random.Random(seed).randbytes(number))
        case "splice", False:
            data = path.read_bytes()
            at = len(data) * seed // 256
            path.write_bytes(data[:at] + random.Random(number).randbytes(seed) + data[at + 9 :])
        case "poke", False:
            _poke(path, seed)
        case "mode", folder:
            path.chmod(number | 0o100 if folder else number)
        case "touch", False:
            os.utime(path, ns=(number, number))
        case "rename", _ if not (root / "renamed").exists():
            path.rename(root / "renamed")
        case "remove", folder:
            shutil.rmtree(path) if folder else path.unlink()


def _poke(path: Path, seed: int) -> None:
    """Change one byte behind the back of size and time."""
    status = path.stat()
    if status.st_size:
        with path.open("r+b") as out:
            out.seek(seed % status.st_size)
            out.write(b"!")
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
