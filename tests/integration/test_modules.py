"""Every module on a real fleet: check mode tells and does nothing, a second run finds nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.evidence import evidence
from tests.support.fleet import NAME, Fleet, running_fleet
from tests.support.haproxy import wait_until
from tests.support.modules import Modules

A, B, C = "edge-a", "edge-b", "edge-c"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(
        tmp_path_factory.mktemp("fleet"),
        (A, B, C),
        bare=True,
        shadows={"count": 2, "mode": "warm"},
        metrics={"sources": [{"kind": "agents"}], "step": "1s",
                 "demand": {"rate": {"query": "rate", "unit": "per_second"}}},
        policy={"cooldown": 0, "drill_max_age": None},
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
def modules(fleet: Fleet) -> Modules:
    known = fleet.connection
    modules = Modules(
        ledger=str(known.ledger), ca=str(known.ca), cert=str(known.cert), key=str(known.key)
    )
    modules.witness = lambda: evidence(fleet)
    return modules


def hosts(fleet: Fleet) -> list[dict[str, Any]]:
    return [
        {**host.plain(), "capacity": {"rate": 100.0}, "relay": name.startswith("lb")}
        for name, host in fleet.agents.hosts.items()
    ]


def test_every_module_tells_first_and_finds_nothing_the_second_time(
    fleet: Fleet, modules: Modules, tmp_path: Path
) -> None:
    writable = fleet.agents.resource(A, NAME) / "writable-0"
    writable.mkdir(parents=True)
    (writable / "settings").write_text("first")

    modules.thrice("host", hosts=hosts(fleet))
    modules.thrice("resource", resources=[fleet.spec.plain()])

    modules.ok("placement")  # it keeps the distances: measured again, they would be others
    placed = modules.thrice("placement", record=True)
    assert sorted(placed["assignment"][NAME]) == [B, C]
    assert {row["host"] for row in placed["rankings"][NAME] if row["rejected"]} >= {A, "lb-1"}

    shadows = [{"resource": NAME, "host": host} for host in placed["assignment"][NAME]]
    made = modules.thrice("shadow_instance", instances=shadows)
    assert {(i["host"], i["role"], i["state"]) for i in made["instances"]} == {
        (A, "primary", "running"),
        (B, "shadow", "frozen"),
        (C, "shadow", "frozen"),
    }
    wait_until(lambda: fleet.answers() == [A, A], "both load balancers to serve")

    synced = modules.thrice("state_sync", resource=NAME)
    assert synced["files_changed"] >= 1
    modules.thrice("state_sync", resource=NAME, state="scheduled")

    moved = modules.thrice("switchover", resource=NAME, to=B)["switchover"]
    assert (moved["outcome"], moved["source"], moved["destination"]) == ("switched", A, B)
    fleet.assert_agreement(B, [A, C])

    time.sleep(3.5)  # the window of two steps, and a step for the last sample
    outcomes = modules.thrice("feedback", window="1s")["outcomes"]
    assert [row["switchover_id"] for row in outcomes] == [moved["id"]]

    modules.thrice("shadow_instance", instances=[{"resource": NAME, "host": C, "mode": "hot"}])
    modules.thrice("control", state="paused")
    modules.thrice("control", state="resumed")
    pinned = {"load_similarity": 0.2, "network_proximity": 0.2, "availability": 0.6}
    modules.thrice("control", state="pinned", resource=NAME, weights=pinned)
    modules.thrice("report", dest=str(tmp_path / "report.html"))

    known = modules.ok("ledger_info", resource=NAME)
    assert not known["changed"]
    assert [move["outcome"] for move in known["switchovers"]] == ["switched"]
    assert len(known["instances"]) == 3

    modules.thrice("state_sync", resource=NAME, state="stopped")
    gone = [{"resource": NAME, "host": host} for host in (A, C)]
    modules.thrice("shadow_instance", state="absent", instances=gone)
