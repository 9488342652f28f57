"""A real Redis is captured while it is written to, and what was captured comes back elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from foreshadow.domain.errors import SpecError, SyncError
from foreshadow.domain.protocols import Findings, Scene
from foreshadow.sync.redis import RedisCapture
from tests.integration.sync_fleet import running, wait_for
from tests.support.redis import Server, loaded, running_redis
from tests.unit.sync.trees import scene


@pytest.fixture
def place(tmp_path: Path) -> Scene:
    (tmp_path / "scratch").mkdir()
    return replace(scene(tmp_path), scratch=tmp_path / "scratch")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_redis(tmp_path / "server") as server:
        yield server


def capture(server: Server, **options: Any) -> RedisCapture:
    return RedisCapture({"url": server.url, "path": "{state}/dump.rdb", **options})


def file_of(findings: Findings) -> Path:
    (found,) = findings.found
    return Path(found.source)


class Acknowledged:
    """Transactions that a server acknowledged, each of which writes two keys."""

    def __init__(self, client: redis.Redis) -> None:
        self.number = 0
        self.client = client
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with closing(self.client):
            for number in count(1):
                if self.ended.wait(0.005):
                    return
                pipeline = self.client.pipeline(transaction=True)
                pipeline.rpush("log", number)
                pipeline.set("last", number)
                pipeline.execute()
                self.number = number


@contextmanager
def writing(server: Server) -> Iterator[Acknowledged]:
    writer = Acknowledged(server.client())
    writer.thread.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.thread.join()


def held(dump: Path, folder: Path) -> int:
    """Return how many transactions a dump holds, proved to be the first ones, whole."""
    with loaded(dump, folder) as client:
        numbers: Any = client.lrange("log", 0, -1)
        last: Any = client.get("last")
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
    assert int(last or 0) == len(numbers)
    return len(numbers)


def test_each_dump_is_a_prefix_of_what_was_acknowledged(
    server: Server, place: Scene, tmp_path: Path
) -> None:
    source = capture(server)
    seen = []
    with writing(server) as writer:
        for number in range(4):
            before = writer.number
            dump = file_of(source.capture(place))
            after = writer.number
            seen.append(held(dump, tmp_path / f"loaded-{number}"))
            assert before <= seen[-1] <= after + 1
    assert seen[-1] > seen[0]
    assert dump.stat().st_mode & 0o777 == 0o600


def test_versions_of_a_shadow_hold_what_was_acknowledged(server: Server, tmp_path: Path) -> None:
    state = [{"kind": "redis", "url": server.url, "path": "dump.rdb"}]
    with running(tmp_path / "fleet") as fleet, writing(server) as writer:
        fleet.place(fleet.spec(state=state))
        for number in range(3):
            before = writer.number
            (result,) = fleet.sync().results
            assert (result.ok, result.error) == (True, "")
            dump = fleet.resource("edge-b") / "current/dump.rdb"
            assert before <= held(dump, tmp_path / f"loaded-{number}") <= writer.number + 1


def test_what_did_not_change_is_not_taken_again(server: Server, place: Scene) -> None:
    source = capture(server)

    with closing(server.client()) as client:

        def taken() -> bool:
            before = client.info("stats")["total_forks"]
            unchanged = source.capture(place).unchanged
            forked: bool = client.info("stats")["total_forks"] > before
            assert forked or unchanged
            return forked

        client.set("a", 1)
        assert [taken(), taken(), taken()] == [True, False, False]
        client.set("a", 2)
        assert [taken(), taken()] == [True, False]
        client.set("b", 3, px=1)
        assert taken()
        # Its own saves begin the count of changes anew: nobody can tell, so it is taken.
        client.set("a", 4)
        client.bgsave()
        wait_for(lambda: not client.info("persistence")["rdb_bgsave_in_progress"], 30)
        assert [taken(), taken()] == [True, False]
        source.capture(replace(place, thorough=True))
        assert client.info("stats")["total_forks"] > 4
        file_of(source.capture(place)).unlink()
        assert taken()


@pytest.mark.parametrize(("mode", "most"), [("rdb", 3), ("sample", 2)])
def test_a_server_is_asked_once_for_what_is_needed_once(
    server: Server, place: Scene, mode: str, most: int
) -> None:
    with closing(server.client()) as client:
        client.mset({f"k{number}": "x" for number in range(1500)})
        source = capture(server, mode=mode)
        if mode == "sample" and refuses_samples(client, source, place):
            return
        client.config_resetstat()
        source.capture(place)
        asked = client.info("commandstats")["cmdstat_info"]["calls"]
    assert asked <= most


def test_a_key_that_a_scan_gives_twice_is_in_a_sample_once(
    server: Server, place: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = capture(server, mode="sample")
    with closing(server.client()) as client:
        client.mset({f"k{number}": "x" for number in range(5)})
        if refuses_samples(client, source, place):
            return
    real = redis.Redis.scan_iter
    monkeypatch.setattr(
        redis.Redis, "scan_iter", lambda *a, **k: (n for name in real(*a, **k) for n in (name,) * 2)
    )
    findings = source.capture(place)
    assert file_of(findings).read_bytes().count(b"RESTORE") == 5
    assert findings.notes[0].endswith("the sample has all 5 keys")


def test_it_logs_in_by_a_password_that_no_error_tells(tmp_path: Path, place: Scene) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret-word\n")
    with running_redis(tmp_path / "closed", "--requirepass", "s3cret-word") as server:
        assert file_of(capture(server, password_file=str(secret)).capture(place)).exists()
        for mode in ("rdb", "sample"):
            with pytest.raises(SyncError, match=r"Authentication required|NOAUTH"):
                capture(server, mode=mode).capture(place)
        secret.write_text("wr0ng-word")
        with pytest.raises(SyncError) as caught:
            capture(server, password_file=str(secret)).capture(place)
        assert "wr0ng" not in str(caught.value)
    with pytest.raises(SyncError, match=r"password_file .*/none: it cannot be read"):
        capture(server, password_file=f"{tmp_path}/none").capture(place)


def test_one_that_is_too_large_or_gone_is_refused_and_the_last_one_stays(
    server: Server, place: Scene
) -> None:
    source = capture(server, max_size=5000)
    with closing(server.client()) as client:
        client.set("a", "x" * 1000)
        good = file_of(source.capture(place)).read_bytes()
        client.config_set("rdbcompression", "no")
        client.set("b", "x" * 10_000)
        with pytest.raises(SyncError, match="more than max_size 5000; raise max_size, or take"):
            source.capture(place)
        (file,) = place.scratch.iterdir()
        assert file.read_bytes() == good
        client.delete("b")
        assert not source.capture(place).unchanged
    server.stop()
    with pytest.raises(SyncError, match="cannot be captured"):
        source.capture(place)


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, place: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://{{address}}:{silent.getsockname()[1]}/0"
        source = RedisCapture({"url": url, "path": "d", "timeout": 0.2})
        with pytest.raises(SyncError, match=r"redis 127\.0\.0\.1:\d+: it cannot be captured"):
            source.capture(place)


def refuses_samples(client: redis.Redis, source: RedisCapture, place: Scene) -> bool:
    """Return whether the server is too old for a sample, once it proved to be refused."""
    version = tuple(map(int, client.info("server")["redis_version"].split(".")[:2]))
    if version < (7, 2):
        with pytest.raises(SyncError, match="take mode rdb, or run Redis"):
            source.capture(place)
    return version < (7, 2)


def feed(commands: bytes, client: redis.Redis, path: Path) -> None:
    """Do what ``redis-cli --pipe`` does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(commands + b"*1\r\n$4\r\nQUIT\r\n")
        replies = b""
        while data := connection.recv(65536):
            replies += data
    assert b"-" not in {reply[:1] for reply in replies.split(b"\r\n")}


@pytest.mark.parametrize("policy", ["allkeys-lfu", "allkeys-lru"])
def test_a_sample_keeps_to_its_budget_and_comes_back_as_it_was(
    tmp_path: Path, place: Scene, policy: str
) -> None:
    options = ("--maxmemory", "200mb", "--maxmemory-policy", policy, "--lfu-log-factor", "0")
    with running_redis(tmp_path / "full", *options) as server, closing(server.client()) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(3000):
            pipeline.set(f"page:{number}", "p" * 200)
            pipeline.hset(f"user:{number}:cart", mapping={"a": number, "b": "x" * (number % 90)})
        pipeline.set("session:1", "until", pxat=4_000_000_000_000)
        pipeline.zadd("ranking", {"a": 1, "b": 2})
        pipeline.execute()
        for _ in range(30):
            for number in range(100):
                pipeline.get(f"page:{number}")
            pipeline.execute()
        source = capture(server, path="sample.resp", mode="sample", max_size=60_000)
        if refuses_samples(client, source, place):
            return
        findings = source.capture(place)
        sample = file_of(findings).read_bytes()
        assert 30_000 < len(sample) <= 60_000
        (note,) = findings.notes
        assert "of 6002 keys in" in note
        assert "±" in note
        again = file_of(capture(server, path="b", mode="sample", max_size=60_000).capture(place))
        same = set(sample.split(b"RESTORE")) & set(again.read_bytes().split(b"RESTORE"))
        assert len(same) > 0.8 * sample.count(b"RESTORE"), "the next sample is nearly the same"

        with running_redis(tmp_path / "empty") as other, closing(other.client()) as copy:
            feed(sample, copy, other.socket)
            names: Any = copy.keys("*")
            assert {b"session:1", b"ranking"} < set(names)
            assert copy.pexpiretime("session:1") == 4_000_000_000_000
            for name in names:
                assert copy.dump(name) == client.dump(name)
            pages = [int(name.split(b":")[1]) for name in names if name.startswith(b"page:")]
            assert any(name.startswith(b"user:") for name in names)
            if policy == "allkeys-lfu":
                hot = sum(number < 100 for number in pages)
                assert hot > len(pages) / 2, "3 % of the pages have nearly all of the accesses"


def test_a_small_budget_or_an_empty_server_makes_a_small_sample(
    server: Server, place: Scene
) -> None:
    source = capture(server, mode="sample", max_size=300, max_keys=50)
    with closing(server.client()) as client:
        if refuses_samples(client, source, place):
            return
    findings = source.capture(place)
    assert file_of(findings).read_bytes() == b""
    assert findings.notes[0].endswith("the sample has all 0 keys")
    with closing(server.client()) as client:
        for number in range(100):
            client.set(f"k{number}", "x" * 100)
    findings = source.capture(place)
    assert 0 < len(file_of(findings).read_bytes()) <= 300
    assert "of 100 keys (of 50 that were looked at)" in findings.notes[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "is required"),
        ({"url": "http://x"}, "no address of a Redis"),
        ({"url": "redis://me:secret@x"}, "has a login in it; use user and password_file"),
        ({"path": "../a"}, "is no file below"),
        ({"mode": "all"}, "rdb"),
        ({"max_keys": 0}, "greater than 0"),
    ],
)
def test_odd_options_are_told_in_one_line(options: dict[str, Any], said: str) -> None:
    good = {"url": "redis://{address}", "path": "dump.rdb"}
    with pytest.raises(SpecError, match=said) as caught:
        RedisCapture({**good, **options} if options else {})
    assert "secret" not in str(caught.value)


def test_a_port_that_is_none_is_told(place: Scene) -> None:
    with pytest.raises(SpecError, match="a database that is no number"):
        RedisCapture({"url": "redis://{address}:6379/first", "path": "d"}).capture(place)
