"""The last round of a handover: one message where it is small, and flushed by the promotion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.wire.gen.sync_pb2 import SmallDelta
from tests.unit.sync.trees import Pair, look


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    (pair.state / "db").write_bytes(b"first" * 100)
    (pair.state / "other").write_text("stays")
    return pair


def change(pair: Pair, size: int = 100) -> None:
    (pair.state / "db").write_bytes(os.urandom(size))


async def test_a_small_one_takes_one_message(pair: Pair) -> None:
    await pair.send()
    change(pair)
    pair.link.offers, pair.link.pushed = 0, []
    sent = await pair.send(final=True)
    assert (pair.link.offers, pair.link.pushed) == (1, [])
    assert pair.same()
    assert (sent.changed, sent.files_changed, sent.version) == (True, 1, sent.offered_version)
    assert pair.destination.root == sent.root
    change(pair)
    await pair.send()
    assert pair.same(), "the next round builds on it"


async def test_nothing_new_is_unchanged(pair: Pair) -> None:
    before = await pair.send()
    sent = await pair.send(final=True)
    assert (sent.changed, sent.version, sent.root) == (False, before.version, before.root)


async def test_a_large_one_is_pushed(pair: Pair) -> None:
    await pair.send()
    change(pair, 300_000)
    sent = await pair.send(final=True)
    assert sent.changed
    assert len(pair.link.pushed) > 1
    assert pair.same()


async def test_without_a_base_that_both_know_all_is_offered(pair: Pair) -> None:
    sent = await pair.send(final=True)
    assert sent.changed
    assert pair.same()
    change(pair)
    pair.restart_destination()
    pair.destination.root = "0" * 64
    assert (await pair.send(final=True)).changed
    assert pair.same()


async def test_an_empty_file_and_one_that_is_there_already_bring_no_content(pair: Pair) -> None:
    await pair.send()
    (pair.state / "twin").write_bytes((pair.state / "db").read_bytes())
    (pair.state / "empty").touch()
    sent = await pair.send(final=True)
    assert sent.files_changed == 2
    assert pair.same()


async def test_a_delta_that_was_spoilt_on_the_way_is_refused_whole_and_offered_anew(
    pair: Pair,
) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    change(pair)

    def spoil(parts: list[bytes]) -> list[bytes]:
        delta = SmallDelta.FromString(parts[0])
        delta.contents = delta.contents[:-1] + bytes([delta.contents[-1] ^ 1])
        return [delta.SerializeToString()]

    pair.link.small_fault = spoil
    pair.link.offer_fault = lambda parts: parts[:1]
    with pytest.raises(SyncError, match="do not add up"):
        await pair.send(final=True)
    assert look(pair.version.resolve()) == before
    pair.link.offer_fault = None
    await pair.send(final=True)
    assert pair.same()


async def test_it_waits_for_no_disk_and_the_next_round_makes_up_for_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    change(pair)
    flushed: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    sent = await pair.send(final=True)
    assert flushed == []
    await pair.send()
    versions = pair.shadow.resolve() / "versions"
    assert f"{versions}/{sent.version}/db" in flushed
    flushed.clear()
    await pair.send()
    assert flushed == []


async def test_a_version_that_a_power_cut_spoilt_shows(pair: Pair) -> None:
    await pair.send()
    change(pair)
    sent = await pair.send(final=True)
    # What is left of a file that was named and not flushed.
    db = pair.shadow / "versions" / str(sent.version) / "db"
    db.write_bytes(b"")
    pair.restart_destination()
    assert (await pair.send()).changed
    assert pair.same()


async def test_what_nobody_writes_to_is_not_copied_before_it_is_sent(pair: Pair) -> None:
    await pair.send()
    outbox = pair.folder / "source" / "contents"
    there = len(list(outbox.iterdir()))
    change(pair)
    snapshot = pair.snapshot(still=True)
    assert len(list(outbox.iterdir())) == there
    await pair.send(snapshot, final=True)
    assert pair.same()
    change(pair)
    pair.snapshot()
    assert len(list(outbox.iterdir())) == there, "it has to be copied where somebody may write"


async def test_what_is_written_to_all_the_same_is_refused(pair: Pair) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    change(pair)
    snapshot = pair.snapshot(still=True)
    change(pair)
    with pytest.raises(SyncError, match="changed after it was captured"):
        await pair.send(snapshot, final=True)
    assert look(pair.version.resolve()) == before
