"""Clients that write at a steady rate, and remember what was acknowledged to them.

``python -m tests.support.writers RATE FRONT...`` writes until its input ends, and then prints what
came of it: a process of its own does not share the interpreter of what it measures.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

ROOT = Path(__file__).parents[2]
SERVICE = Path(__file__).with_name("writer_service.py")


def changes() -> dict[str, Any]:
    """Return what makes the fleet's resource a single writer."""
    command = [sys.executable, str(SERVICE), "--listen", "{address}:{port}", "--state", "{state}",
               "--name", "{host}"]  # fmt: skip
    hooks = {"fence": {"path": "/seal"}, "promote": {"path": "/promote"}, "reload": []}
    return {
        "service": {"command": command, "hooks": hooks},
        "policy": {"pause_writes": True},
    }


@dataclass
class Writers:
    """Writes at a rate until the end of the ``with`` block; nothing is ever retried.

    :ivar acknowledged: ids of the writes that were answered with 200.
    :ivar refused: those that were answered with something else, or not at all.
    :ivar slowest: seconds of the slowest one that was acknowledged.
    """

    fronts: Sequence[str]
    rate: float
    acknowledged: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        tasks: set[asyncio.Task[None]] = set()
        async with ClientSession(timeout=ClientTimeout(total=15)) as session:
            while not self._stop.is_set():
                task = asyncio.create_task(self._write(session, number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number / self.rate - loop.time()))
            if tasks:
                await asyncio.wait(tasks)

    async def _write(self, session: ClientSession, number: int) -> None:
        front = self.fronts[number % len(self.fronts)]
        began = time.monotonic()
        try:
            async with session.post(f"http://{front}/write/{number}") as answer:
                await answer.read()
                if answer.status == 200:
                    self.acknowledged.add(number)
                    self.slowest = max(self.slowest, time.monotonic() - began)
                else:
                    self.refused.append(f"{number}: {answer.status}")
        except (ClientError, OSError, TimeoutError) as error:
            self.refused.append(f"{number}: {type(error).__name__} {error}")


@dataclass
class WritingProcess:
    """The same from a process of its own; what came of it is there after the ``with`` block.

    :ivar seconds: for which it wrote.
    """

    fronts: Sequence[str]
    rate: float
    acknowledged: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.writers", str(self.rate), *self.fronts]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "writing\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        told = json.loads(self._process.communicate("", timeout=30)[0])
        self.acknowledged = set(told["acknowledged"])
        self.refused = told["refused"]
        self.slowest, self.seconds = told["slowest"], told["seconds"]


def identities(text: str) -> set[int]:
    """Return the ids of the writes in the text of the service's state."""
    return {int(line) for line in text.split()}


def main() -> None:
    rate, *fronts = sys.argv[1:]
    began = time.monotonic()
    with Writers(fronts, float(rate)) as writers:
        print("writing", flush=True)
        sys.stdin.read()
        seconds = time.monotonic() - began
    print(
        json.dumps(
            {
                "acknowledged": sorted(writers.acknowledged),
                "refused": writers.refused,
                "slowest": writers.slowest,
                "seconds": seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
