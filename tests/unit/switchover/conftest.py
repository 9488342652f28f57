from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.switchover.controller import Controllers, MortalLedger, registered_in
from tests.unit.switchover.world import World, make_world

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder in memory where there is one: a crash of the machine is not what is tested."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("ledgers")
        return
    path = Path(tempfile.mkdtemp(prefix="foreshadow-", dir=MEMORY))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def registered(folder: Path) -> Path:
    """Give the file of a ledger that knows the world, to be copied."""
    return registered_in(folder)


@pytest.fixture
def new_controllers(registered: Path) -> Iterator[Callable[[World], Controllers]]:
    """Give a maker of controllers, each over a world and with a ledger of its own."""
    with tempfile.TemporaryDirectory(dir=registered.parent) as folder, ExitStack() as stack:
        count = itertools.count()

        def make(world: World) -> Controllers:
            path = shutil.copy(registered, Path(folder) / f"{next(count)}.db")
            ledger = stack.enter_context(MortalLedger.open(f"sqlite:///{path}", world.now))
            ledger.put_resource(world.spec)
            return Controllers(world, ledger)

        yield make


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def controllers(world: World, new_controllers: Callable[[World], Controllers]) -> Controllers:
    return new_controllers(world)
