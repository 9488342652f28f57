"""What the source remembers of versions, and for whom."""

from __future__ import annotations

from pathlib import Path

from foreshadow.domain.clock import WallTime
from foreshadow.domain.manifest import Entry, EntryKind, Manifest
from foreshadow.sync.history import History
from foreshadow.sync.snapshot import Snapshot

DAY = 24 * 3600.0


def snapshot(number: int) -> Snapshot:
    """Return one of a state with one file."""
    entries = (Entry("f", EntryKind.FILE, 0o644, 1, f"{number:064x}", number),)
    return Snapshot(Manifest(entries).root, entries, WallTime(1.0), {}, None, ())


def test_what_a_destination_has_is_kept_until_it_was_away_for_a_day(tmp_path: Path) -> None:
    now = 0.0
    history = History(tmp_path / "manifest.json", clock=lambda: now)
    first = snapshot(0)
    history.add(first)
    history.acknowledge("edge-b", first.root)
    for number in range(1, 20):
        history.add(snapshot(number))
        history.acknowledge("edge-c", snapshot(number).root)
    assert history.entries(first.root) == first.entries
    assert history.contents() == {first.entries[0].digest, f"{19:064x}"}
    now = DAY + 1
    history.acknowledge("edge-c", snapshot(19).root)
    assert history.contents() == {f"{19:064x}"}
    history.add(snapshot(20))
    assert history.entries(first.root) is None
    assert history.entries(snapshot(19).root) is not None


def test_contents_are_looked_up_again_only_when_they_are_others(tmp_path: Path) -> None:
    history = History(tmp_path / "manifest.json")
    history.add(snapshot(1))
    history.acknowledge("edge-b", snapshot(1).root)
    before = history.contents()
    history.add(snapshot(1))
    history.acknowledge("edge-b", snapshot(1).root)
    assert history.contents() is before
    history.add(snapshot(2))
    assert history.contents() == {f"{1:064x}", f"{2:064x}"}
