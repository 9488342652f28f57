"""Databases that are captured while somebody writes to them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SpecError, SyncError
from foreshadow.domain.protocols import Capture, Findings, Scene
from foreshadow.domain.spec import StateSpec
from foreshadow.sync import sqlite_copy
from foreshadow.sync.captures import load_captures
from foreshadow.sync.files import FilesCapture
from foreshadow.sync.snapshot import Photographer
from foreshadow.sync.sqlite import SqliteCapture
from foreshadow.sync.stats import GRANULARITY_NS
from tests.unit.sync.databases import add, count, make, proven, writing
from tests.unit.sync.trees import scene


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "live").mkdir()
    return tmp_path / "live"


@pytest.fixture
def place(state: Path, tmp_path: Path) -> Scene:
    (tmp_path / "scratch").mkdir()
    return replace(scene(state), scratch=tmp_path / "scratch")


@pytest.fixture
def db(state: Path) -> Iterator[sqlite3.Connection]:
    with closing(make(state / "app.db")) as db:
        yield db


def capture(**options: Any) -> SqliteCapture:
    return SqliteCapture({"path": "{state}/app.db", **options})


def copies(findings: Findings) -> dict[str, Path]:
    return {found.path: Path(found.source) for found in findings.found}


def test_what_is_committed_and_still_in_the_log_is_in_the_copy(
    state: Path, place: Scene, db: sqlite3.Connection
) -> None:
    (state / "app.db").chmod(0o640)
    assert (state / "app.db-wal").stat().st_size > 0
    db.execute("BEGIN")
    db.execute("DELETE FROM t")  # not committed
    (copy,) = copies(capture().capture(place)).values()
    assert count(copy) == 100
    assert copy.stat().st_mode & 0o777 == 0o640
    assert list(place.scratch.iterdir()) == [copy], "nothing is left beside it"


def test_files_of_the_folder_around_leave_a_database_to_it(
    state: Path, place: Scene, db: sqlite3.Connection, tmp_path: Path
) -> None:
    (state / "app.conf").write_text("x")
    captures: list[Capture] = [FilesCapture({}), capture()]
    snapshot = Photographer(tmp_path / "source", captures).take(place, WallTime(1.0))
    assert [entry.path for entry in snapshot.entries] == ["app.conf", "app.db"]
    origin = snapshot.origins[snapshot.entries[1].digest]
    # Kept for the sending, whatever the next round makes of the scratch folder.
    add(db)
    Photographer(tmp_path / "other", captures).take(place, WallTime(2.0))
    assert count(Path(origin.path)) == 100


def test_an_unchanged_database_is_not_copied_again(
    state: Path, place: Scene, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def copy_database(source: Path, target: Path, within: float) -> None:
        made.append(source)
        sqlite_copy.copy_database(source, target, within)

    monkeypatch.setattr("foreshadow.sync.sqlite.copy_database", copy_database)
    sqlite = capture()

    def copied() -> int:
        made.clear()
        sqlite.capture(place)
        return len(made)

    assert copied() == 1
    # Written just before it was copied: it may be written again under the same stamps.
    assert copied() == 1
    # Stamps cannot be set back, so the clock goes forward.
    later = (state / "app.db-wal").stat().st_ctime_ns + 30 * GRANULARITY_NS
    monkeypatch.setattr("foreshadow.sync.sqlite.time.time_ns", lambda: later)
    assert [copied(), copied()] == [1, 0]
    add(db)
    assert copied() == 1
    (copy,) = copies(sqlite.capture(place)).values()
    assert count(copy) == 101
    copy.unlink()
    assert copied() == 1, "a copy that somebody removed is made again"


@pytest.mark.parametrize(
    ("mode", "tries"), [("wal", 2), ("delete", 2), ("delete", 0), ("truncate", 0), ("persist", 0)]
)
def test_every_copy_of_a_database_under_writes_is_a_prefix(
    state: Path, place: Scene, mode: str, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a try in steps, the copy is compared while the writers of another process wait."""
    monkeypatch.setattr("foreshadow.sync.sqlite_copy._TRIES", tries)
    sqlite = capture()
    with writing(state / "app.db", mode) as writer:
        seen = [0]
        while seen[-1] < 150:
            before = writer.acknowledged
            if not (state / "app.db").exists():
                continue
            (copy,) = copies(sqlite.capture(place)).values()
            held = proven(copy)
            assert before <= held <= writer.acknowledged + 1
            seen.append(held)
    assert len(set(seen)) > 3, "it was copied in between"


def test_with_a_rollback_journal_writers_get_their_turn(
    state: Path, place: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy in many small steps is overtaken again and again, and compared at last."""
    monkeypatch.setattr("foreshadow.sync.sqlite_copy._STEP", 1)
    make(state / "app.db", "delete", rows=2000).close()
    with closing(sqlite3.connect(state / "app.db", timeout=0, isolation_level=None)) as other:
        written = [0]
        real = sqlite3.connect

        class Overtaken(sqlite3.Connection):
            def backup(self, target: Any, **options: Any) -> None:
                progress = options["progress"]

                def write(*figures: int) -> None:
                    progress(*figures)
                    try:
                        add(other)
                        written[0] += 1
                    except sqlite3.OperationalError:  # locked: its reader holds on now
                        other.execute("ROLLBACK")

                super().backup(target, **{**options, "progress": write})

        monkeypatch.setattr(
            "foreshadow.sync.sqlite_copy.sqlite3.connect",
            lambda *given, **named: real(*given, **{**named, "factory": Overtaken}),
        )
        (copy,) = copies(capture().capture(place)).values()
    assert 2 <= written[0] <= 6
    assert count(copy) == 2000 + written[0]


def test_a_glob_captures_several_and_forgets_those_that_are_gone(state: Path, place: Scene) -> None:
    (state / "tenants/a").mkdir(parents=True)
    for name in ("tenants/a/one.db", "tenants/a/two.db"):
        make(state / name, "delete").close()
    (state / "tenants/a/three.db").symlink_to("one.db")
    (state / "tenants/a/one.db-wal").write_bytes(b"")
    sqlite = SqliteCapture({"path": "{state}/tenants/*/*.db*"})
    assert copies(sqlite.capture(place)).keys() == {"tenants/a/one.db", "tenants/a/two.db"}
    (state / "tenants/a/two.db").unlink()
    (copy,) = copies(sqlite.capture(place)).values()
    assert list(place.scratch.iterdir()) == [copy]
    assert SqliteCapture({"path": "{state}/none/*.db"}).capture(place).found == ()


def test_an_absolute_path_has_its_place(place: Scene, tmp_path: Path) -> None:
    make(tmp_path / "other.db", "delete").close()
    sqlite = SqliteCapture({"path": str(tmp_path / "other.db")})
    with pytest.raises(SpecError, match=r"sqlite: the absolute .* is refused, since agents"):
        sqlite.capture(place)
    found = copies(sqlite.capture(replace(place, shared_machine=False)))
    assert [*found] == [f"absolute{tmp_path}/other.db"]


def test_an_empty_database_is_one(state: Path, place: Scene) -> None:
    (state / "app.db").touch()
    (copy,) = copies(capture().capture(place)).values()
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_database_that_is_locked_for_good_is_given_up(state: Path, place: Scene) -> None:
    with closing(make(state / "app.db", "delete")) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SyncError, match="not be copied within 100ms; give it a longer wait"):
            capture(wait=0.1).capture(place)
        db.execute("ROLLBACK")
        assert len(copies(capture(wait=0.1).capture(place))) == 1


def crash(state: Path) -> None:
    """Leave a database as its writer's death in the middle of a transaction leaves it."""
    with closing(make(state / "live.db", "delete", rows=2000)) as db:
        db.execute("PRAGMA cache_size=5")
        db.execute("BEGIN")
        db.execute("UPDATE t SET filler = randomblob(200)")
        for suffix in ("", "-journal"):
            shutil.copy(state / f"live.db{suffix}", state / f"app.db{suffix}")
        db.execute("ROLLBACK")


def test_a_journal_that_looks_left_for_a_moment_is_looked_at_again(
    state: Path, place: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between the lock and the journal of a writer, which are looked at one after the other."""
    crash(state)
    monkeypatch.setattr("foreshadow.sync.sqlite_copy._JOURNAL_SECONDS", 60.0)
    opened = threading.Event()

    def service() -> None:
        opened.wait(60)
        with closing(sqlite3.connect(state / "app.db")) as db:
            db.execute("SELECT * FROM t").fetchall()

    def pause(_: float) -> None:
        opened.set()
        ended.join(0.01)

    monkeypatch.setattr("foreshadow.sync.sqlite_copy.time.sleep", pause)
    ended = threading.Thread(target=service)
    ended.start()
    (copy,) = copies(capture().capture(place)).values()
    ended.join()
    assert count(copy) == 2000
    assert opened.is_set()


def test_what_a_crash_left_in_the_middle_is_not_taken(state: Path, place: Scene) -> None:
    """A hot journal is the service's to roll back: the agent reads, and writes nothing."""
    crash(state)
    with pytest.raises(SyncError, match="after a crash, let the service open it once"):
        capture().capture(place)
    with closing(sqlite3.connect(state / "app.db")) as service:
        service.execute("SELECT * FROM t").fetchall()
    (copy,) = copies(capture().capture(place)).values()
    assert count(copy) == 2000


def test_what_is_no_whole_database_is_told(state: Path, place: Scene) -> None:
    with pytest.raises(SyncError, match="there is no such file; let the service create it"):
        capture().capture(place)
    (state / "app.db").write_text("no database at all" * 100)
    with pytest.raises(SyncError, match="not a database; name an SQLite database"):
        capture().capture(place)
    assert list(place.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "is required"),
        ({"path": "{state}"}, "name a database in it"),
        ({"path": "app.db"}, "is no place"),
        ({"path": "{state}/a.db", "wait": "soon"}, "not a duration"),
        ({"path": "{state}/a.db", "exclude": []}, "unknown key"),
    ],
)
def test_odd_options_are_told_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        SqliteCapture(options)


def test_the_spec_knows_the_kind() -> None:
    state = StateSpec.model_validate({"kind": "sqlite", "path": "{state}/app.db"})
    assert isinstance(load_captures([state])[0], SqliteCapture)
