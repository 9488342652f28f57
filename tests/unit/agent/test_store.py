"""What the agent remembers: at once, and on the disk where it has to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from foreshadow.agent.store import Store

FULL = 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def waits_for_the_disk(store: Store) -> bool:
    return bool(store._database.execute("PRAGMA synchronous").fetchone()[0] == FULL)


def test_a_note_is_there_for_whoever_comes_after_a_crash(store: Store, tmp_path: Path) -> None:
    store.put("instance", "shop", {"rest": "frozen"}, durable=False)
    other = sqlite3.connect(tmp_path / "store.db")
    assert other.execute("SELECT body FROM documents").fetchone() == ('{"rest": "frozen"}',)
    other.close()


def test_after_a_note_everything_else_waits_for_the_disk_again(store: Store) -> None:
    store.put("instance", "shop", {}, durable=False)
    assert waits_for_the_disk(store)
    with pytest.raises(TypeError):
        store.put("instance", "shop", object(), durable=False)
    assert waits_for_the_disk(store)
