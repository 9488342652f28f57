"""A Redis that is captured: whether something changed in it, all of it, or a sample."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from typing import IO, Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from foreshadow.domain.errors import SyncError
from foreshadow.sync.redis_address import Address
from foreshadow.sync.redis_dump import take_dump
from foreshadow.sync.redis_sample import Key, Sample, choose

_BATCH = 500
_LOOK = 0.01
_FORKS = "total_forks"
"""Told from Redis 6.2 on."""


class Mark(NamedTuple):
    """Fields of ``INFO`` of which one changes with every change, however it comes about."""

    run_id: str
    total_forks: int
    rdb_last_save_time: int
    rdb_changes_since_last_save: int
    expired_keys: int
    evicted_keys: int


@contextmanager
def connected(address: Address, within: float) -> Iterator[Server]:
    """Give a server to ask.

    :param within: seconds that all of it may take.
    :raises SyncError: when it cannot be reached, refuses, or takes too long.
    """
    try:
        with closing(_client(address, within)) as client:
            yield Server(client, address, within)
    except (redis.RedisError, OSError) as error:
        raise SyncError(
            f"it cannot be captured: {' '.join(str(error).split())[:200]}",
            where=f"redis {address}",
            remedy="see that it runs, and correct url, user, password_file or timeout",
        ) from None


def _client(address: Address, within: float) -> redis.Redis:
    common: dict[str, Any] = {
        "db": address.database,
        "username": address.user or None,
        "password": address.password or None,
        "socket_timeout": within,
        "socket_connect_timeout": within,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),  # the next round is the next try
    }
    if address.socket:
        return redis.Redis(unix_socket_path=address.socket, **common)
    return redis.Redis(host=address.host, port=address.port, ssl=address.tls, **common)


class Server:
    """One server, for the time of one capture."""

    def __init__(self, client: redis.Redis, address: Address, within: float) -> None:
        self._client: Any = client
        self._address = address
        self._deadline = time.monotonic() + within

    def mark(self) -> Mark | None:
        """Return what is another when anything was changed; ``None`` when that cannot be told."""
        return _mark(self._client.info())

    def dump(self, out: IO[bytes], limit: int) -> Mark | None:
        """Write its RDB; return the mark that it has for as long as nothing is changed.

        :raises SyncError: when it has more than ``limit`` bytes.
        """
        before = self._when_not_saving()
        take_dump(self._address, out, limit, self._left())
        after = self.mark()
        if before is None or after is None or after.total_forks != before.total_forks + 1:
            return None  # somebody else had it saved too, so the count of changes may be theirs
        return Mark(
            after.run_id,
            after.total_forks,
            after.rdb_last_save_time,
            0,
            before.expired_keys,
            before.evicted_keys,
        )

    def _when_not_saving(self) -> Mark | None:
        """Wait while it saves: who asks then may be given what was begun before."""
        while (told := self._client.info())["rdb_bgsave_in_progress"]:
            self._left()
            time.sleep(_LOOK)
        return _mark(told)

    def sample(self, out: IO[bytes], budget: int, most: int) -> tuple[str, ...]:
        """Write a sample as commands that restore it; return what is to be told of it.

        :param budget: bytes.
        :param most: keys to look at.
        :raises SyncError: when the server would count that as use.
        """
        self._do_not_count()
        policy = _bytes(self._client.info("memory").get("maxmemory_policy", ""))
        lfu = b"lfu" in policy
        keys = [key for names in self._names(most) for key in self._looked_at(names, lfu=lfu)]
        sample = choose(keys, max(len(keys), self._client.dbsize()), budget)
        missing = self._write(sample, out, budget)
        notes = (f"redis {self._address}: {sample.told()}",)
        return (
            (*notes, f"redis {self._address}: {missing} of them did not fit") if missing else notes
        )

    def _do_not_count(self) -> None:
        """Let what is read here not count as use: it would be kept for its own sake.

        :raises SyncError: when the server cannot do that.
        """
        try:
            self._client.execute_command("CLIENT", "NO-TOUCH", "ON")
        except redis.ResponseError as error:
            if "unknown" not in str(error).lower():
                raise
            raise SyncError(
                "it would take what is read for a sample as use of those keys",
                where=f"redis {self._address}",
                remedy="take mode rdb, or run Redis 7.2 or Valkey",
            ) from None

    def _names(self, most: int) -> Iterator[list[bytes]]:
        """Give names in batches. A scan goes by the hash of the keys: its beginning is a draw."""
        names = islice(self._client.scan_iter(count=_BATCH), most)
        seen: set[bytes] = set()
        while batch := list(islice(names, _BATCH)):
            yield [name for name in dict.fromkeys(batch) if name not in seen]
            seen.update(batch)
            self._left()

    def _looked_at(self, names: list[bytes], *, lfu: bool) -> Iterator[Key]:
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.memory_usage(name)
            pipeline.object("FREQ" if lfu else "IDLETIME", name)
        answers = pipeline.execute(raise_on_error=False)
        for name, size, use in zip(names, answers[::2], answers[1::2], strict=True):
            if isinstance(size, int) and isinstance(use, int):  # else it is gone by now
                yield Key(name, size, _accesses(use) if lfu else 1 / (1 + use))

    def _write(self, sample: Sample, out: IO[bytes], budget: int) -> int:
        """Write commands within the budget; return how many keys did not fit into it."""
        written = missing = 0
        keys = iter(sample.keys)
        while batch := [key.name for key in islice(keys, _BATCH)]:
            self._left()
            pipeline = self._client.pipeline(transaction=False)
            for name in batch:
                pipeline.dump(name)
                pipeline.pexpiretime(name)
            answers = pipeline.execute(raise_on_error=False)
            for name, content, expires in zip(batch, answers[::2], answers[1::2], strict=True):
                if not isinstance(content, bytes):
                    continue  # gone since it was looked at
                command = _restore(name, content, expires if isinstance(expires, int) else 0)
                if written + len(command) > budget:
                    missing += 1
                    continue
                out.write(command)
                written += len(command)
        return missing

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it takes longer than its timeout")
        return left


def _mark(told: Mapping[str, Any]) -> Mark | None:
    return Mark(*(told[name] for name in Mark._fields)) if _FORKS in told else None


def _accesses(frequency: int) -> float:
    """Return accesses by the server's logarithmic counter, as its default factor of 10 makes it."""
    return 1.0 + max(0, frequency - 5) ** 2 * 5


def _restore(name: bytes, content: bytes, expires: int) -> bytes:
    """Return the command that puts a key back; ``expires`` is a wall time in milliseconds."""
    until = b"%d" % max(0, expires)
    words = (b"RESTORE", name, until, content, b"REPLACE", b"ABSTTL")
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()
