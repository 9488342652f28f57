"""Clients that write at a steady rate, and remember what was acknowledged to them."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

SERVICE = Path(__file__).with_name("writer_service.py")


def call(path: str) -> list[str]:
    """Return a hook that posts to the service and fails unless it answers 200."""
    ask = f"exec 3<>/dev/tcp/{{address}}/{{port}}; printf 'POST {path} HTTP/1.0\\r\\n\\r\\n' >&3"
    return ["bash", "-c", f"{ask}; read -r line <&3; [[ $line == *200* ]]"]


def changes() -> dict[str, Any]:
    """Return what makes the fleet's resource a single writer."""
    command = [sys.executable, str(SERVICE), "--listen", "{address}:{port}", "--state", "{state}",
               "--name", "{host}"]  # fmt: skip
    hooks = {"fence": call("/seal"), "promote": call("/promote"), "reload": []}
    return {
        "service": {"command": command, "hooks": hooks},
        "policy": {"pause_writes": True},
    }


@dataclass
class Writers:
    """Writes at a rate until the end of the ``with`` block; nothing is ever retried.

    :ivar acknowledged: ids of the writes that were answered with 200.
    :ivar refused: how many were answered with something else, or not at all.
    """

    fronts: Sequence[str]
    rate: float
    acknowledged: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
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
        try:
            async with session.post(f"http://{front}/write/{number}") as answer:
                await answer.read()
                if answer.status == 200:
                    self.acknowledged.add(number)
                else:
                    self.refused.append(f"{number}: {answer.status}")
        except (ClientError, OSError, TimeoutError) as error:
            self.refused.append(f"{number}: {type(error).__name__} {error}")
