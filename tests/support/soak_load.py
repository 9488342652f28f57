"""A load of every kind of request, as a process of its own, as fast as it is answered.

``python -m tests.support.soak_load FRONT…`` prints what its clients saw as one line of JSON each
second, and a last one when its standard input has ended and all that was under way is over.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.service import ROOT
from tests.support.soak_long import TIMEOUT, Lasting
from tests.support.soak_quick import Quick
from tests.support.soak_tally import Tally

KEPT, CLOSED, RESTED = 16, 4, 6
"""Quick clients at each front end: on kept connections, on new ones, and with long rests."""
REST = 3.0
SLOW, STREAMS, UPLOADS, WEBSOCKETS = 4, 4, 2, 4
"""Lasting clients at each front end."""


@dataclass
class Load:
    """A running load, as its parent sees it.

    :ivar tally: as of the last second; whole once the block has ended.
    """

    tally: Tally = field(default_factory=Tally)


@contextmanager
def running_load(fronts: list[str]) -> Iterator[Load]:
    """Send requests until the end of the block, then wait for all answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.soak_load", *fronts],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    load = Load()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            load.tally = Tally.loaded(line)

    reader = threading.Thread(target=read, name="soak-load")
    reader.start()
    try:
        yield load
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(3 * TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        if process.returncode != 0:
            load.tally.note(f"the load ended with status {process.returncode}")
            load.tally.broken += 1


class Clients:
    """Every client of a load, in this process."""

    def __init__(self, fronts: list[str]) -> None:
        self.tally = Tally()
        self._quick: list[Quick] = []
        self._lasting: list[Lasting] = []
        self._tasks: list[asyncio.Task[None]] = []
        for place, front in enumerate(fronts):
            self._start_quick(front, 1000 * place)
            self._start_lasting(front, 1000 * place)

    def _start_quick(self, front: str, seed: int) -> None:
        for count, keep, rest in ((KEPT, True, 0.0), (CLOSED, False, 0.0), (RESTED, True, REST)):
            for number in range(count):
                client = Quick(front, self.tally, seed + number, keep=keep, rest=rest)
                self._quick.append(client)
                client.start()

    def _start_lasting(self, front: str, seed: int) -> None:
        kinds = ("slow", SLOW), ("stream", STREAMS), ("upload", UPLOADS), ("websocket", WEBSOCKETS)
        for kind, count in kinds:
            for number in range(count):
                client = Lasting(front, self.tally, seed + number)
                self._lasting.append(client)
                self._tasks.append(asyncio.create_task(getattr(client, kind)()))

    def give_up(self) -> bool:
        """Give up what takes too long; return whether no quick request is under way."""
        return sum(not one.settled() for one in self._quick) == 0

    async def end(self) -> None:
        """Ask no more, and wait for what is under way."""
        for one in self._quick:
            one.stop()
        for client in self._lasting:
            client.stopped.set()
        await asyncio.wait(self._tasks, timeout=2 * TIMEOUT)
        for _ in range(round(2 * TIMEOUT / 0.05)):
            if self.give_up():
                break
            await asyncio.sleep(0.05)
        for task in self._tasks:
            error = task.exception() if task.done() else TimeoutError("it does not end")
            if error is not None:
                self.tally.broken += 1
                self.tally.note(f"a client died: {type(error).__name__} {error}")


async def run(fronts: list[str]) -> None:
    """Run all clients until the standard input ends."""
    clients = Clients(fronts)
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    while not over.done():
        await asyncio.wait([over], timeout=1.0)
        clients.give_up()
        print(clients.tally.dumped(), flush=True)
    await clients.end()
    print(clients.tally.dumped(), flush=True)


if __name__ == "__main__":
    gc.freeze()
    asyncio.run(run(sys.argv[1:]))
