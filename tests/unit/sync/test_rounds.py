"""Rounds from a source to a destination: what travels, what is kept, what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from foreshadow.domain.errors import SyncError
from foreshadow.sync import send
from foreshadow.sync.durable import clone_file
from foreshadow.sync.versions import Versions
from tests.unit.sync.trees import CutError, Pair, look


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    for number in range(30):
        path = pair.state / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(500 + number))
    (pair.state / "empty").touch()
    (pair.state / "d0/link").symlink_to("../d1/f1")
    (pair.state / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"x")
    return pair


async def test_the_first_round_sends_everything_and_the_second_nothing(pair: Pair) -> None:
    first = await pair.send()
    assert pair.same()
    assert first.files_changed == 33
    assert first.version == 1
    second = await pair.send()
    assert (second.files_changed, second.version, second.root) == (0, 1, first.root)
    assert second.bytes_sent < 300
    assert second.acknowledged_at == pair.link.now


async def test_only_changed_files_travel_and_the_rest_is_shared(pair: Pair) -> None:
    await pair.send()
    before = (pair.version / "d0/f0").stat().st_ino
    (pair.state / "d1/f1").write_bytes(b"new" * 100)
    (pair.state / "d2/f2").unlink()
    sent = await pair.send()
    assert pair.same()
    assert sent.files_changed == 2
    assert sent.bytes_sent < 900
    assert (pair.version / "d0/f0").stat().st_ino == before


async def test_a_touched_or_renamed_file_sends_no_content(pair: Pair) -> None:
    big = pair.state / "big"
    big.write_bytes(os.urandom(300_000))
    await pair.send()
    os.utime(big, ns=(1, 123_456_789))
    (pair.state / "d0/f0").chmod(0o600)
    big.rename(pair.state / "d1/moved")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent < 1500


async def test_two_versions_are_kept(pair: Pair) -> None:
    for number in range(5):
        (pair.state / "d0/f0").write_text(f"{number}")
        await pair.send()
    assert sorted(path.name for path in (pair.shadow / "versions").iterdir()) == ["4", "5"]
    assert sorted(path.name for path in (pair.shadow / "manifests").iterdir()) == [
        "4.json",
        "5.json",
    ]
    assert not (pair.shadow / "incoming").exists()


async def test_a_broken_push_goes_on_where_it_stopped(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "BATCH", 10_000)
    await pair.send()
    before = look(pair.version.resolve())
    (pair.state / "big").write_bytes(os.urandom(400_000))

    def half(chunks: list[bytes]) -> list[bytes]:
        return chunks[: len(chunks) // 2]

    pair.link.push_fault = half
    with pytest.raises(SyncError, match="not sent to their end"):
        await pair.send()
    assert look(pair.version.resolve()) == before
    pair.restart_destination()
    pair.link.push_fault = None
    sent = await pair.send()
    assert pair.same()
    assert 190_000 < sent.bytes_sent < 230_000


async def test_source_and_destination_may_restart_between_rounds(pair: Pair) -> None:
    await pair.send()
    pair.restart_source()
    pair.restart_destination()
    pair.destination.root = None
    (pair.state / "d0/f0").write_text("after")
    sent = await pair.send()
    assert pair.same()
    assert sent.version == 2
    assert sent.files_changed == 1
    assert sent.bytes_sent < 600, "the delta builds on the manifest that was kept"


async def test_a_source_that_lost_its_memory_falls_back_to_the_full_manifest(pair: Pair) -> None:
    await pair.send()
    (pair.state / "d0/f0").write_text("after")
    await pair.send()
    (pair.folder / "source/manifest.json").unlink()
    pair.restart_source()
    pair.destination.root = None
    (pair.state / "d0/f0").write_text("later still")
    sent = await pair.send()
    assert pair.same()
    assert sent.version == 3
    assert sent.files_changed == 1


async def test_a_version_that_somebody_wrote_into_is_healed(pair: Pair) -> None:
    await pair.send()
    (pair.version / "d0/f0").write_text("by hand")
    (pair.version / "d1/f1").unlink()
    sent = await pair.send()
    assert pair.same()
    assert sent.files_changed == 2
    assert sent.version == 2


async def test_a_replayed_push_and_an_older_version_are_refused(pair: Pair) -> None:
    (pair.state / "big").write_bytes(os.urandom(300_000))
    await pair.send()
    old = pair.snapshot()
    old_push = pair.link.pushed
    (pair.state / "d0/f0").write_text("newer")
    await pair.send()
    with pytest.raises(SyncError, match="no offer of this version is open"):
        pair.link.deliver(old_push)
    assert pair.same()
    # The same old state may come again, but only as a new version.
    sent = await pair.send(old)
    assert sent.version == 3


async def test_a_file_that_changes_between_offer_and_push_is_sent_as_it_was(pair: Pair) -> None:
    hot = pair.state / "hot"
    hot.write_bytes(b"0" * 5000)
    pair.snapshot()
    hot.write_bytes(b"a" * 5000)
    snapshot = pair.snapshot()
    hot.write_bytes(b"b" * 5000)
    with pair.photographer.hold(snapshot):
        pair.snapshot()
        await pair.send(snapshot)
    assert (pair.version / "hot").read_bytes() == b"a" * 5000
    await pair.send()
    assert pair.same()


async def test_a_file_that_was_not_copied_and_changes_breaks_the_round_only(pair: Pair) -> None:
    still = pair.state / "still"
    still.write_bytes(b"a" * 5000)
    snapshot = pair.snapshot(still=True)
    still.write_bytes(b"b" * 5000)
    with pytest.raises(SyncError, match="changed after it was captured"):
        await pair.send(snapshot)
    assert not pair.version.exists()
    await pair.send()
    assert pair.same()


async def test_a_dry_run_tells_and_changes_nothing(pair: Pair) -> None:
    sent = await pair.send(dry_run=True)
    assert sent.files_changed == 33
    assert sorted(pair.shadow.iterdir()) == []
    await pair.send()
    (pair.state / "d0/f0").write_text("x")
    before = look(pair.shadow)
    pair.link.small = b""
    assert (await pair.send(dry_run=True)).files_changed == 1
    assert look(pair.shadow) == before
    assert (pair.link.small, pair.link.pushed) == (b"", []), "it only asks, and sends no contents"


async def test_what_a_demoted_primary_wrote_is_not_sent_again(pair: Pair) -> None:
    await pair.send()
    (pair.state / "huge").write_bytes(os.urandom(500_000))
    written = pair.shadow / "writable-3"
    written.mkdir()
    clone_file(pair.state / "huge", written / "under-another-name")
    (pair.shadow / "live").symlink_to("current")
    sent = await pair.send()
    assert pair.same()
    assert sent.bytes_sent < 1000
    assert not written.exists(), "superseded by the version that was applied"


async def test_the_live_copy_of_a_primary_is_never_swept(pair: Pair) -> None:
    written = pair.shadow / "writable-3"
    written.mkdir()
    (pair.shadow / "live").symlink_to("writable-3")
    await pair.send()
    assert written.exists()


async def test_a_full_disk_leaves_the_version_before(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    (pair.state / "more").write_bytes(os.urandom(5000))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SyncError, match="are free"):
        await pair.send()
    assert look(pair.version.resolve()) == before
    monkeypatch.undo()
    await pair.send()
    assert pair.same()


@pytest.mark.parametrize("call", ["write", "fsync", "link", "rename", "symlink"])
async def test_an_error_of_the_disk_at_any_step_is_told_and_harmless(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await pair.send()
    before = look(pair.version.resolve())
    (pair.state / "d0/f0").write_bytes(os.urandom(5000))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    target = {
        "write": "foreshadow.sync.staging.Staging.write",
        "fsync": "foreshadow.sync.durable.sync_path",
        "link": "foreshadow.sync.assemble.clone_file",
        "rename": "pathlib.Path.rename",
        "symlink": "pathlib.Path.symlink_to",
    }[call]
    if call == "link":
        (pair.state / "d0/f0-twin").write_bytes((pair.state / "d0/f0").read_bytes())
    monkeypatch.setattr(target, refuse)
    with pytest.raises(SyncError, match="No space left"):
        await pair.send()
    monkeypatch.undo()
    assert look(pair.version.resolve()) == before
    pair.restart_destination()
    await pair.send()
    assert pair.same()


async def test_what_a_killed_commit_did_not_remove_the_next_round_does(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"one", b"two"):
        (pair.state / "d0/f0").write_bytes(content)
        await pair.send()

    def killed(_: Versions) -> None:
        raise CutError

    (pair.state / "d0/f0").write_bytes(b"three")
    monkeypatch.setattr(Versions, "prune", killed)
    with pytest.raises(CutError):
        await pair.send()
    monkeypatch.undo()
    assert pair.same()
    folders = [pair.shadow / "versions", pair.shadow / "manifests"]
    assert [len(list(folder.iterdir())) for folder in folders] == [3, 3]
    pair.restart_destination()
    sent = await pair.send()
    assert sent.files_changed == 0
    assert [len(list(folder.iterdir())) for folder in folders] == [2, 2]


async def test_a_cut_offer_is_refused_whole(pair: Pair) -> None:
    (pair.state / "big").write_bytes(os.urandom(300_000))
    pair.link.offer_fault = lambda parts: parts[:1]
    with pytest.raises(SyncError, match="do not add up"):
        await pair.send()
    pair.link.offer_fault = lambda parts: parts[1:] or parts
    with pytest.raises(SyncError, match="out of order"):
        await pair.send()
    pair.link.offer_fault = lambda parts: [*parts[:-1], parts[-1][:-3]]
    with pytest.raises(CutError):
        await pair.send()
    assert not pair.version.exists()
