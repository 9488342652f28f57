"""Sealing and promoting a single writer, through hooks that are requests to the service itself."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from foreshadow.domain.errors import RefusedError, ServiceError
from foreshadow.domain.fleet import Capacity, Role
from foreshadow.domain.spec import Mode, ResourceSpec
from tests.support.services import spec
from tests.support.writers import SERVICE

from .conftest import Bench

HTTP: dict[str, Any] = {"fence": {"path": "/seal"}, "promote": {"path": "/promote"}, "reload": []}


def writer(primary: str, *options: str, hooks: dict[str, Any] | None = None) -> ResourceSpec:
    command = [sys.executable, str(SERVICE), "--listen", "{address}:{port}", "--state", "{state}",
               "--name", "{host}", *options]  # fmt: skip
    return spec("shop", primary, command=command, hooks=hooks or HTTP)


async def write(bench: Bench, number: int, seconds: float = 0.0) -> int:
    """Write, and return the status of the answer."""
    url = f"http://{bench.address}:8080/write/{number}?seconds={seconds}"

    def ask() -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return await asyncio.to_thread(ask)


async def test_from_the_seal_on_nothing_is_written_until_it_is_taken_back(bench: Bench) -> None:
    record = await bench.supervisor.adopt(writer("edge-a"), Capacity(), 1)
    assert await write(bench, 1) == 200
    for _ in range(2):
        assert (await bench.supervisor.seal("shop", 1)).role is Role.PRIMARY
    assert await write(bench, 2) == 503
    await bench.supervisor.unseal("shop", 1)
    assert await write(bench, 3) == 200
    assert (record.live / "writes").read_text() == "1\n3\n"


async def test_a_seal_lets_what_is_in_flight_end(bench: Bench) -> None:
    record = await bench.supervisor.adopt(writer("edge-a"), Capacity(), 1)
    slow = asyncio.create_task(write(bench, 1, 0.4))
    await asyncio.sleep(0.15)
    began = time.monotonic()
    await bench.supervisor.seal("shop", 1, within=5.0)
    assert 0.1 < time.monotonic() - began < 2
    assert await slow == 200
    assert (record.live / "writes").read_text() == "1\n"


async def test_what_does_not_end_in_time_is_not_sealed(bench: Bench) -> None:
    await bench.supervisor.adopt(writer("edge-a"), Capacity(), 1)
    slow = asyncio.create_task(write(bench, 1, 1.0))
    await asyncio.sleep(0.15)
    with pytest.raises(ServiceError, match="still has requests open after 200ms"):
        await bench.supervisor.seal("shop", 1, within=0.2)
    assert await write(bench, 2) == 200
    assert await slow == 200


async def test_a_shadow_is_not_sealed(bench: Bench) -> None:
    await bench.supervisor.create(writer("edge-b"), Capacity(), Mode.HOT, 1)
    with pytest.raises(RefusedError, match="is a shadow here"):
        await bench.supervisor.seal("shop", 1)


async def test_a_hook_that_is_answered_with_an_error_has_failed(bench: Bench) -> None:
    hooks = {**HTTP, "fence": {"path": "/nowhere"}}
    await bench.supervisor.adopt(writer("edge-a", hooks=hooks), Capacity(), 1)
    with pytest.raises(ServiceError, match=r"hook fence failed: POST \S+/nowhere answered 404"):
        await bench.supervisor.seal("shop", 1)
    hooks = {**HTTP, "fence": {"path": "/seal", "method": "GET"}}
    await bench.supervisor.adopt(writer("edge-a", hooks=hooks), Capacity(), 1)
    with pytest.raises(ServiceError, match=r"hook fence failed: GET \S+/seal answered 405"):
        await bench.supervisor.seal("shop", 1)


async def test_a_primary_that_is_unwell_after_its_promotion_is_told(bench: Bench) -> None:
    wanted = writer("edge-b", "--fragile")
    await bench.supervisor.create(wanted, Capacity(), Mode.HOT, 1)
    for _ in range(2):  # an answer that was lost must not turn it into a good one
        with pytest.raises(ServiceError, match="fails its health check after its promotion"):
            await bench.supervisor.promote("shop", 1)
    assert (await bench.supervisor.demote("shop", 1)).role is Role.SHADOW
    assert await write(bench, 1) == 503, "its hook fence sealed it again"


async def test_what_is_prepared_is_promoted_and_otherwise_dropped(bench: Bench) -> None:
    wanted = writer("edge-b")
    record = await bench.supervisor.create(wanted, Capacity(), Mode.HOT, 1)
    folder = record.layout.folder
    tree = folder / "versions" / "1"
    tree.mkdir()
    (tree / "writes").write_text("7\n")
    (folder / "current").unlink()
    (folder / "current").symlink_to("versions/1")
    await bench.supervisor.prepare("shop", 1)
    assert list(folder.glob("prepared-*")) == [], "without a manifest nothing tells what it is"
    await bench.supervisor.promote("shop", 1)
    assert await write(bench, 8) == 200
    assert (record.live / "writes").read_text() == "7\n8\n"
    assert (tree / "writes").read_text() == "7\n"
    (folder / "prepared-1").mkdir()
    await bench.supervisor.demote("shop", 2)
    await bench.supervisor.freeze("shop", Mode.HOT, 2)
    assert list(folder.glob("prepared-*")) == []
