"""The life of an instance, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from foreshadow.agent.processes import (
    MARKER,
    Identity,
    boot_id,
    identify,
    members,
    read_process,
)
from foreshadow.agent.records import Record
from foreshadow.domain.errors import (
    FencedError,
    ForeshadowError,
    RefusedError,
    ServiceError,
    SpecError,
)
from foreshadow.domain.fleet import Capacity, Role, RunState
from foreshadow.domain.spec import Mode, parse_resource
from tests.support.agents import instances
from tests.support.services import ask, command, spec

from .conftest import Bench

NO_LIMITS = Capacity()


async def answers(bench: Bench, path: str) -> str:
    return await asyncio.to_thread(ask, bench.address, path)


@pytest.mark.parametrize(
    ("mode", "state"),
    [
        (Mode.COLD, RunState.STOPPED),
        (Mode.WARM, RunState.FROZEN),
        (Mode.HOT, RunState.RUNNING),
    ],
)
async def test_a_shadow_rests_as_its_mode_says(bench: Bench, mode: Mode, state: RunState) -> None:
    record = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, mode, 1)
    assert (record.role, bench.supervisor.state(record)) == (Role.SHADOW, state)
    again = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, mode, 2)
    assert again.process == record.process
    assert bench.supervisor.state(again) is state


async def test_freezing_stops_every_process_and_activation_lets_all_go_on(bench: Bench) -> None:
    wanted = spec("shop", "edge-b", 8080, "forks")
    record = await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    everyone = members(record.process, record.sign)
    assert len(everyone) == 2
    assert len({process.session for process in everyone}) == 2
    assert all(process.frozen for process in everyone)
    before = bench.home.now()
    record = await bench.supervisor.activate(wanted, 2)
    assert before <= record.thawed_at <= bench.home.now()
    assert not any(process.frozen for process in members(record.process, record.sign))
    assert await answers(bench, "/healthz") == "ok"
    await bench.supervisor.freeze("shop", Mode.WARM, 2)
    assert all(process.frozen for process in members(record.process, record.sign))


async def test_a_cold_shadow_is_started_by_its_activation(bench: Bench) -> None:
    wanted = spec("shop", "edge-b")
    await bench.supervisor.create(wanted, NO_LIMITS, Mode.COLD, 1)
    record = await bench.supervisor.activate(wanted, 1)
    assert bench.supervisor.state(record) is RunState.RUNNING


async def test_the_service_finds_its_placeholders_and_capacity(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHADOW_LEDGER", "postgresql://u:secret@db/x")
    wanted = spec("shop", "edge-b", environment={"WHERE": "{host} {address}:{port} {other}"})
    record = await bench.supervisor.create(
        wanted, Capacity(cpu=2, rate=150, memory=2**30), Mode.HOT, 1
    )
    found = json.loads(await answers(bench, "/environment"))
    assert found["WHERE"] == f"edge-a {bench.address}:8080 {{other}}"
    assert found["FORESHADOW_HOST"] == "edge-a"
    assert found["FORESHADOW_RESOURCE"] == "shop"
    assert found["FORESHADOW_CAPACITY_CPU"] == "2"
    assert found["FORESHADOW_CAPACITY_RATE"] == "150"
    assert found["FORESHADOW_CAPACITY_MEMORY"] == "1073741824"
    assert found[MARKER] == record.marker
    assert "FORESHADOW_LEDGER" not in found


async def test_promotion_gives_a_copy_of_its_own_and_demotion_takes_it_away(bench: Bench) -> None:
    wanted = spec("shop", "edge-b")
    record = await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    apply_version(record, 1, "from the primary")
    await bench.supervisor.activate(wanted, 7)
    assert await answers(bench, "/loaded") == "from the primary"
    record = await bench.supervisor.promote("shop", 7)
    assert record.role is Role.PRIMARY
    assert record.live.readlink() == Path("writable-7")
    await answers(bench, "/write/mine")
    assert (record.live / "data").read_text() == "mine"
    assert (record.current / "data").read_text() == "from the primary"
    with pytest.raises(RefusedError, match="is the primary, not a shadow"):
        await bench.supervisor.freeze("shop", Mode.WARM, 7)
    record = await bench.supervisor.demote("shop", 8)
    assert record.role is Role.SHADOW
    assert record.live.readlink() == Path("current")
    assert (record.layout.folder / "writable-7" / "data").read_text() == "mine"


async def test_a_primary_that_comes_back_at_once_has_what_it_wrote(bench: Bench) -> None:
    wanted = spec("shop", "edge-a")
    await bench.supervisor.adopt(wanted, NO_LIMITS, 1)
    await answers(bench, "/write/precious")
    await bench.supervisor.demote("shop", 2)
    record = await bench.supervisor.promote("shop", 3)
    assert (record.live / "data").read_text() == "precious"
    assert await answers(bench, "/loaded") == "precious"


async def test_a_former_primary_takes_up_the_newer_version(bench: Bench) -> None:
    wanted = spec("shop", "edge-a")
    await bench.supervisor.adopt(wanted, NO_LIMITS, 1)
    await answers(bench, "/write/old")
    record = await bench.supervisor.demote("shop", 2)
    await bench.supervisor.freeze("shop", Mode.WARM, 2)
    apply_version(record, 1, "newer")
    await bench.supervisor.activate(wanted, 3)
    assert await answers(bench, "/loaded") == "newer"
    record = await bench.supervisor.promote("shop", 3)
    assert (record.live / "data").read_text() == "newer"
    assert [p.name for p in record.layout.folder.glob("writable-*")] == ["writable-3"]


async def test_a_failed_promotion_leaves_a_shadow(bench: Bench) -> None:
    wanted = spec("shop", "edge-b", hooks={"promote": ["sh", "-c", "echo no way; exit 3"]})
    await bench.supervisor.create(wanted, NO_LIMITS, Mode.HOT, 1)
    with pytest.raises(ServiceError, match="hook promote failed: sh ended with status 3: no way"):
        await bench.supervisor.promote("shop", 1)
    record = bench.home.instances.need("shop")
    assert record.role is Role.SHADOW
    assert record.live.readlink() == Path("current")


async def test_what_would_not_end_by_itself_is_let_go_by_the_hook(bench: Bench) -> None:
    hook = ["sh", "-c", "echo $FORESHADOW_PID >> gone; exit $(wc -l < gone | tr 12 05)"]
    wanted = spec("shop", "edge-b", hooks={"go_away": hook})
    record = await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    gone = record.layout.folder / "gone"
    await bench.supervisor.go_away("shop", 1)
    assert not gone.exists(), "a frozen process has nobody to let go"
    await bench.supervisor.activate(wanted, 1)
    await bench.supervisor.go_away("shop", 1)
    assert record.process is not None
    assert gone.read_text() == f"{record.process.pid}\n"
    with pytest.raises(ServiceError, match="hook go_away failed: sh ended with status 5"):
        await bench.supervisor.go_away("shop", 1)


async def test_an_older_token_is_refused_everywhere(bench: Bench) -> None:
    wanted = spec("shop", "edge-b")
    await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 5)
    calls = [
        lambda: bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 4),
        lambda: bench.supervisor.adopt(wanted, NO_LIMITS, 4),
        lambda: bench.supervisor.activate(wanted, 4),
        lambda: bench.supervisor.freeze("shop", Mode.COLD, 4),
        lambda: bench.supervisor.promote("shop", 4),
        lambda: bench.supervisor.demote("shop", 4),
        lambda: bench.supervisor.go_away("shop", 4),
        lambda: bench.supervisor.deactivate("shop", 4),
        lambda: bench.supervisor.remove("shop", 4),
        lambda: bench.supervisor.raise_fence("shop", 4),
    ]
    for call in calls:
        with pytest.raises(FencedError, match="token 4 is older than 5"):
            await call()
    assert bench.supervisor.state(bench.home.instances.need("shop")) is RunState.FROZEN


async def test_a_frozen_stubborn_service_is_ended_all_the_same(bench: Bench) -> None:
    wanted = spec("shop", "edge-b", 8080, "stubborn", "forks", stop_timeout="200ms")
    record = await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    assert members(record.process, record.sign)
    await bench.supervisor.remove("shop", 1)
    assert not members(record.process, record.sign)
    assert bench.home.instances.get("shop") is None
    assert not record.layout.folder.exists()
    await bench.supervisor.remove("shop", 1)


async def test_a_crash_is_told_with_its_reason(bench: Bench) -> None:
    record = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.HOT, 1)
    assert record.process is not None
    os.kill(record.process.pid, signal.SIGKILL)
    await until(lambda: bench.supervisor.state(record) is RunState.FAILED)
    health = await bench.supervisor.health("shop", 1)
    assert not health.healthy
    assert health.detail == "was killed by SIGKILL; last lines of its log: serving"
    assert await bench.supervisor.in_flight("shop") == 0
    again = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.HOT, 2)
    assert bench.supervisor.state(again) is RunState.RUNNING


async def test_a_changed_command_takes_effect_and_a_changed_check_does_not_restart(
    bench: Bench,
) -> None:
    first = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.HOT, 1)
    gentler = spec("shop", "edge-b", health={"successes": 1})
    second = await bench.supervisor.create(gentler, NO_LIMITS, Mode.HOT, 2)
    assert second.process == first.process
    assert second.spec.service.health.successes == 1
    third = await bench.supervisor.create(
        spec("shop", "edge-b", 8080, "forks"), NO_LIMITS, Mode.HOT, 3
    )
    assert third.process != first.process
    await bench.supervisor.freeze("shop", Mode.WARM, 3)
    activated = await bench.supervisor.activate(spec("shop", "edge-b"), 4)
    assert activated.process not in (None, third.process)
    assert len(members(activated.process, activated.sign)) == 1


# --- what runs already ---------------------------------------------------------------------------


def by_hand(bench: Bench, *traits: str) -> subprocess.Popen[bytes]:
    """Start the service as a person would have, before there was an agent."""
    values = {"{address}": bench.address, "{port}": "8080", "{state}": "/nonexistent"}
    argv = [values.get(part, part) for part in command(*traits)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"serving\n"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((bench.address, 8080)) == 0:
                return process
        time.sleep(0.02)
    raise AssertionError("the service does not listen")


async def test_a_running_primary_is_adopted_without_a_restart(
    rebirth: Callable[[], Bench],
) -> None:
    bench = rebirth()
    process = by_hand(bench)
    try:
        record = await bench.supervisor.adopt(spec("shop", "edge-a"), NO_LIMITS, 1)
        assert record.process is not None
        assert record.process.pid == process.pid
        assert (record.role, bench.supervisor.state(record)) == (Role.PRIMARY, RunState.RUNNING)
        assert await answers(bench, "/pid") == str(process.pid)
        bench = rebirth()
        again = await bench.supervisor.adopt(spec("shop", "edge-a"), NO_LIMITS, 2)
        assert again.process == record.process
        await bench.supervisor.demote("shop", 3)
        frozen = await bench.supervisor.freeze("shop", Mode.WARM, 3)
        assert bench.supervisor.state(frozen) is RunState.FROZEN
        mine = read_process(os.getpid())
        assert mine is not None
        assert not mine.frozen
        await bench.supervisor.deactivate("shop", 3)
        assert process.wait(5) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


async def test_a_pid_file_names_the_primary(bench: Bench, tmp_path: Path) -> None:
    process = by_hand(bench)
    try:
        pid_file = tmp_path / "shop.pid"
        pid_file.write_text(f"{process.pid}\n")
        wanted = spec("shop", "edge-a", pid_file=str(pid_file))
        record = await bench.supervisor.adopt(wanted, NO_LIMITS, 1)
        assert record.process == identify(process.pid)
    finally:
        process.kill()
        process.wait()


async def test_what_listens_but_is_not_well_is_not_adopted(bench: Bench) -> None:
    process = by_hand(bench, "unwell")
    try:
        with pytest.raises(ServiceError, match=r"pid \d+ runs, but does not pass .* answered 503"):
            await bench.supervisor.adopt(spec("shop", "edge-a"), NO_LIMITS, 1)
        assert process.poll() is None
        assert bench.home.instances.get("shop") is None
    finally:
        process.kill()
        process.wait()


async def test_a_primary_that_does_not_run_is_started_on_deployed_state(bench: Bench) -> None:
    deployed = bench.home.instances.layout("shop").folder / "writable-0"
    deployed.mkdir(parents=True)
    (deployed / "data").write_text("deployed")
    record = await bench.supervisor.adopt(spec("shop", "edge-a"), NO_LIMITS, 1)
    assert bench.supervisor.state(record) is RunState.RUNNING
    assert await answers(bench, "/loaded") == "deployed"


async def test_a_failed_adoption_keeps_deployed_state(bench: Bench) -> None:
    deployed = bench.home.instances.layout("shop").folder / "writable-0"
    deployed.mkdir(parents=True)
    (deployed / "data").write_text("deployed")
    with pytest.raises(ServiceError):
        await bench.supervisor.adopt(spec("shop", "edge-a", 8080, "fails"), NO_LIMITS, 1)
    assert (deployed / "data").read_text() == "deployed"
    assert bench.home.instances.get("shop") is None


# --- an agent that was killed --------------------------------------------------------------------


async def test_an_agent_that_comes_back_knows_its_instances(
    rebirth: Callable[[], Bench],
) -> None:
    first = await rebirth().supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 3)
    bench = rebirth()
    record = bench.home.instances.need("shop")
    assert record == first
    assert bench.supervisor.state(record) is RunState.FROZEN
    with pytest.raises(FencedError):
        await bench.supervisor.activate(record.spec, 2)
    record = await bench.supervisor.activate(record.spec, 3)
    assert record.process == first.process


@pytest.mark.parametrize("lost", [1, 2])
async def test_killed_while_starting_it_finds_the_process_and_starts_no_second(
    rebirth: Callable[[], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """The agent dies before the record of what it started is written (1: the pid, 2: the rest)."""
    bench = rebirth()

    class KilledError(BaseException):
        pass

    put = bench.home.instances.put

    def dies(record: Record, *, durable: bool = True) -> Record:
        if instances(tmp_path) and (lost == 1 or record.rest is RunState.FROZEN):
            raise KilledError
        return put(record, durable=durable)

    monkeypatch.setattr(bench.home.instances, "put", dies)
    with pytest.raises(KilledError):
        await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 1)
    [started] = instances(tmp_path)
    bench = rebirth()
    record = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 1)
    [only] = instances(tmp_path)
    assert only.pid == started.pid
    assert record.process is not None
    assert record.process.pid == started.pid
    assert bench.supervisor.state(record) is RunState.FROZEN


async def test_an_orphan_whose_record_was_lost_is_adopted(
    rebirth: Callable[[], Bench], tmp_path: Path
) -> None:
    bench = rebirth()
    first = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 1)
    bench.home.instances.remove("shop")
    record = await rebirth().supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 1)
    assert (record.process, record.marker) == (first.process, first.marker)
    assert len(instances(tmp_path)) == 1


def elsewhere() -> subprocess.Popen[bytes]:
    """Start a process that has nothing to do with us."""
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


async def test_a_reused_pid_is_never_signalled(bench: Bench) -> None:
    """A stranger has the pid, and even the start time, of an instance that has ended."""
    record = await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.HOT, 1)
    await bench.supervisor.deactivate("shop", 1)
    stranger = elsewhere()
    try:
        seen = identify(stranger.pid)
        assert seen is not None
        forged = record.model_copy(update={"process": seen})
        bench.home.instances.put(forged)
        assert bench.supervisor.state(forged) is RunState.FAILED
        await bench.supervisor.deactivate("shop", 2)
        adopted = record.model_copy(
            update={"marker": "", "process": Identity(seen.pid, boot_id(), seen.started - 1)}
        )
        bench.home.instances.put(adopted)
        await bench.supervisor.deactivate("shop", 3)
        assert stranger.poll() is None
        still = read_process(stranger.pid)
        assert still is not None
        assert not still.frozen
    finally:
        stranger.kill()
        stranger.wait()


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "state", "problem"),
    [
        ({"command": ["/opt/none/serve"]}, [], "there is no command /opt/none/serve"),
        ({"command": ["no-such-program"]}, [], "there is no command no-such-program"),
        ({"command": ["./serve"]}, [], "is a relative path; give its absolute path"),
        ({"user": "nobody-knows"}, [], "there is no user nobody-knows on this host"),
        ({}, [{"kind": "files", "path": "/etc/shop"}], "is refused, since agents share"),
        ({}, [{"kind": "files", "path": "{state}/../../x"}], r"without \. or \.\.|leads out"),
        ({}, [{"kind": "no-such-kind"}], "unknown kind no-such-kind"),
    ],
)
async def test_what_cannot_work_is_refused_before_anything_is_done(
    bench: Bench, service: dict[str, Any], state: list[dict[str, str]], problem: str
) -> None:
    wanted = spec("shop", "edge-b", **service)
    raw = {**wanted.plain(), "state": state}
    with pytest.raises(SpecError, match=problem) as caught:
        await bench.supervisor.create(parse_resource(raw), NO_LIMITS, Mode.WARM, 1)
    assert "\n" not in str(caught.value)
    assert bench.home.instances.get("shop") is None
    assert not bench.home.instances.layout("shop").folder.exists()


async def test_a_taken_port_names_who_has_it(bench: Bench) -> None:
    with socket.create_server((bench.address, 8080)), pytest.raises(ServiceError) as caught:
        await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.WARM, 1)
    said = str(caught.value)
    assert f"port 8080 of {bench.address} is taken by pid {os.getpid()} (" in said
    assert said.endswith("stop that process, or give the service another port")
    assert bench.home.instances.get("shop") is None


async def test_a_health_check_that_never_passes_stops_the_service_again(
    bench: Bench, tmp_path: Path
) -> None:
    wanted = spec("shop", "edge-b", 8080, "unwell", health={"start_timeout": "2s"})
    with pytest.raises(ServiceError) as caught:
        await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    said = str(caught.value)
    assert "did not pass its health check within 2s" in said
    assert "/healthz answered 503" in said
    assert "last lines of its log: serving" in said
    assert not instances(tmp_path)
    assert bench.home.instances.get("shop") is None
    assert not bench.home.instances.layout("shop").folder.exists()


async def test_a_command_that_ends_at_once_is_told_with_its_last_words(
    bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(ServiceError, match=r"ended with status 1; .*: no disk in drive A; "):
        await bench.supervisor.create(
            spec("shop", "edge-b", 8080, "fails"), NO_LIMITS, Mode.WARM, 1
        )
    assert not instances(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may start services as any user")
async def test_another_user_needs_root(bench: Bench) -> None:
    with pytest.raises(SpecError, match="not root, so it cannot start a service as root"):
        await bench.supervisor.create(spec("shop", "edge-b", user="root"), NO_LIMITS, Mode.WARM, 1)


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/usr/bin/python3", os.X_OK),
    reason="needs root, and a Python that other users may run",
)
async def test_a_service_runs_as_its_user_and_can_write_its_state(
    bench: Bench, tmp_path: Path
) -> None:
    own = (folder for folder in (tmp_path, *tmp_path.parents) if "pytest" in str(folder))
    for folder in own:
        folder.chmod(0o711)
    wanted = spec("shop", "edge-a", user="nobody", command=["/usr/bin/python3", *command()[1:]])
    record = await bench.supervisor.adopt(wanted, NO_LIMITS, 1)
    assert record.process is not None
    assert psutil.Process(record.process.pid).username() == "nobody"
    await answers(bench, "/write/mine")
    assert (record.live / "data").read_text() == "mine"


@pytest.mark.parametrize("name", ["../etc", "a/b", "", ".", "..", "x" * 64, "a\n", "a\0b"])
async def test_a_name_that_could_lead_astray_is_refused(bench: Bench, name: str) -> None:
    for call in (
        bench.supervisor.freeze(name, Mode.COLD, 1),
        bench.supervisor.remove(name, 1),
        bench.supervisor.health(name, 1),
        bench.supervisor.in_flight(name),
    ):
        with pytest.raises(ForeshadowError, match="is not a name of a resource"):
            await call


async def test_a_primary_is_not_made_a_shadow_and_is_let_go_unharmed(bench: Bench) -> None:
    wanted = spec("shop", "edge-a")
    record = await bench.supervisor.adopt(wanted, NO_LIMITS, 1)
    with pytest.raises(RefusedError, match="is the primary"):
        await bench.supervisor.create(wanted, NO_LIMITS, Mode.WARM, 1)
    assert (await bench.supervisor.activate(wanted, 1)).process == record.process
    await answers(bench, "/write/mine")
    await bench.supervisor.remove("shop", 1)
    assert bench.home.instances.get("shop") is None
    again = await bench.supervisor.adopt(wanted, NO_LIMITS, 2)
    assert (again.process, again.role) == (record.process, Role.PRIMARY)
    assert (again.live / "data").read_text() == "mine"


async def test_requests_in_flight_by_sockets(bench: Bench) -> None:
    wanted = spec("shop", "edge-b", drain={"source": "sockets", "path": None})
    await bench.supervisor.create(wanted, NO_LIMITS, Mode.HOT, 1)
    await until_async(bench, 0)
    with socket.create_connection((bench.address, 8080)) as first:
        with socket.create_connection((bench.address, 8080)):
            assert await bench.supervisor.in_flight("shop") == 2
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        first.recv(10)
        await until_async(bench, 1)


async def test_requests_in_flight_as_the_service_tells(bench: Bench) -> None:
    await bench.supervisor.create(spec("shop", "edge-b"), NO_LIMITS, Mode.HOT, 1)
    assert await bench.supervisor.in_flight("shop") == 3


async def until_async(bench: Bench, count: int) -> None:
    deadline = time.monotonic() + 3
    while await bench.supervisor.in_flight("shop") != count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 3
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def apply_version(record: Record, number: int, text: str) -> None:
    """Do what a round of synchronisation does at its end."""
    tree = record.versions / str(number)
    tree.mkdir()
    (tree / "data").write_text(text)
    fresh = record.layout.folder / "current.new"
    fresh.symlink_to(f"versions/{number}")
    fresh.replace(record.current)
