import json
from pathlib import Path

import pytest

from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.domain.fleet import Acknowledged, Instance
from foreshadow.operations.place import place
from foreshadow.operations.render import render_report
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource


@pytest.fixture
def world(tmp_path: Path) -> Metered:
    metered = open_metered(tmp_path, {("shop", "rate"): lambda _: 60.0})
    add_hosts(metered.ledger, a=100, b=80)
    metered.ledger.put_resource(resource("shop", "a"))
    metered.ledger.put_instance(
        Instance(resource="shop", host="b", role="shadow", mode="warm", state="frozen",
                 address="127.0.0.1", port=80)
    )  # fmt: skip
    place(metered, record=True).apply()
    return metered


def test_the_page_is_written_once_until_a_fact_changes(world: Metered, tmp_path: Path) -> None:
    dest = tmp_path / "report.html"
    change = render_report(world, dest)
    assert change.changed
    assert change.apply() == {"report_file": str(dest)}
    text = dest.read_text(encoding="utf-8")
    assert "shop" in text
    assert dest.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir() if "report" in path.name) == [dest.name]
    world.time += 5000
    assert not render_report(world, dest).changed
    version = Acknowledged("shop", "b", 3, "root", WallTime(world.time), WallTime(world.time))
    world.ledger.acknowledge(version)
    assert render_report(world, dest).changed


def test_check_mode_writes_nothing(world: Metered, tmp_path: Path) -> None:
    dest = tmp_path / "report.html"
    assert render_report(world, dest).preview == {"report_file": str(dest)}
    assert not dest.exists()


def test_another_file_of_that_name_is_replaced(world: Metered, tmp_path: Path) -> None:
    dest = tmp_path / "report.html"
    dest.write_bytes(b"\xff\xfe not a page of ours")
    assert render_report(world, dest).changed


def test_what_clients_saw_is_shown(world: Metered, tmp_path: Path) -> None:
    seen = tmp_path / "clients.json"
    interval = {"at": 0, "requests": 10, "failed": 1, "p50": 0.1, "p99": 0.2}
    runs = {"foreshadow": {"intervals": [interval]}}
    seen.write_text(json.dumps({"resource": "shop", "step": 60, "runs": runs}))
    dest = tmp_path / "report.html"
    render_report(world, dest, clients=seen).apply()
    assert "Latency as clients saw it" in dest.read_text(encoding="utf-8")


def test_bad_input_is_one_line(world: Metered, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no folder"):
        render_report(world, tmp_path / "missing" / "report.html")
    with pytest.raises(UnknownNameError, match="shop"):
        render_report(world, tmp_path / "report.html", ["shoop"])
    with pytest.raises(SpecError, match="report, since"):
        render_report(world, tmp_path / "report.html", since="yesterday")
    with pytest.raises(SpecError, match="cannot be read"):
        render_report(world, tmp_path / "report.html", clients=tmp_path / "none.json")
