"""Watching a switch from outside: requests, what HAProxy is told, and when the shadow wakes.

A process of its own, so that nobody whom it watches can hold it up. All times are of the machine's
monotonic clock, which every process reads alike.

``python -m tests.support.watch`` takes a :class:`Wanted` as JSON in its first line, says ``ready``,
watches until its standard input ends, and prints a :class:`Seen` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.support.service import ROOT

CLIENTS = 4
"""Kept connections at each front end, which take turns."""


@dataclass
class Wanted:
    """What to watch.

    :ivar fronts: where requests go, ``rate`` per second at each.
    :ivar taps: by the path of a socket to serve, the HAProxy's own behind it.
    :ivar sleeper: pid of the frozen process that is going to wake.
    """

    fronts: list[str]
    rate: float
    taps: dict[str, str] = field(default_factory=dict)
    sleeper: int = 0


@dataclass
class Seen:
    """What was seen.

    :ivar requests: front, when it left, and the host that answered; an empty one for a failure.
    :ivar commands: the socket, when it was sent, and what changes a server line.
    :ivar woke_at: 0 when it did not.
    """

    requests: list[tuple[str, float, str]] = field(default_factory=list)
    commands: list[tuple[str, float, str]] = field(default_factory=list)
    woke_at: float = 0.0

    @property
    def failed(self) -> int:
        """Return how many requests had no good answer."""
        return sum(not host for _, _, host in self.requests)

    def moved_at(self, source: str, front: str | None = None) -> float:
        """Return when the last request left that the source answered."""
        return max(
            (at for one, at, host in self.requests if host == source and front in (None, one)),
            default=0.0,
        )


class Watch:
    """A watch that runs; what it has seen is there once the block has ended."""

    def __init__(self) -> None:
        self.seen = Seen()


@contextmanager
def watching(wanted: Wanted) -> Iterator[Watch]:
    """Watch until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.watch"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    watch = Watch()
    try:
        process.stdin.write(json.dumps(asdict(wanted)) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield watch
        process.stdin.close()
        raw = json.loads(process.stdout.read())
        watch.seen = Seen(
            [tuple(one) for one in raw["requests"]],
            [tuple(one) for one in raw["commands"]],
            raw["woke_at"],
        )
    finally:
        process.kill()
        process.wait()


async def ask(front: str, pause: float, first: float, seen: Seen) -> None:
    """Send one request in each pause, on one connection for as long as it is kept."""
    address, _, port = front.rpartition(":")
    writer: asyncio.StreamWriter | None = None
    due = first
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due = max(due + pause, time.monotonic() - pause)
        sent = time.monotonic()
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(address, int(port))
            sent = time.monotonic()
            writer.write(b"GET / HTTP/1.1\r\nHost: watch\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(fields["content-length"]))
            good = head.startswith("http/1.1 200")
            seen.requests.append((front, sent, fields.get("x-host", "") if good else ""))
            kept = fields.get("connection") != "close"
        except (OSError, EOFError, KeyError, ValueError):
            seen.requests.append((front, sent, ""))
            kept = False
        if not kept and writer is not None:
            writer.close()
            writer = None


async def wait_for_waking(pid: int, seen: Seen) -> None:
    """Note when a frozen process runs on."""
    while True:
        if not is_stopped(pid):
            seen.woke_at = time.monotonic()
            return
        await asyncio.sleep(0.001)


def is_stopped(pid: int) -> bool:
    """Return whether a signal stopped a process."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return stat[stat.rindex(b")") + 2 :][:1] in b"Tt"


async def tap(at: str, target: str, seen: Seen) -> None:
    """Hand commands on to HAProxy, and note those that change a server line."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner, outer = await asyncio.open_unix_connection(target)
            line = await reader.readline()
            sent = time.monotonic()
            outer.write(line)
            await outer.drain()
            for command in line.decode().split(";"):
                if command.strip().startswith("set server"):
                    seen.commands.append((at, sent, command.strip()))
            while part := await inner.read(65536):
                writer.write(part)
            outer.close()
        writer.close()

    await asyncio.start_unix_server(handle, at)


async def main() -> None:
    """Watch until the standard input ends."""
    wanted = Wanted(**json.loads(sys.stdin.readline()))
    seen = Seen()
    for at, target in wanted.taps.items():
        await tap(at, target, seen)
    pause = CLIENTS / wanted.rate
    tasks = [
        asyncio.create_task(ask(front, pause, time.monotonic() + pause * n / CLIENTS, seen))
        for front in wanted.fronts
        for n in range(CLIENTS)
    ]
    if wanted.sleeper:
        tasks.append(asyncio.create_task(wait_for_waking(wanted.sleeper, seen)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
