from pathlib import Path
from typing import Any

import pytest

from foreshadow.domain.control import Control
from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.domain.fleet import Instance
from foreshadow.operations.place import place, rank_resources
from foreshadow.wire.gen.agent_pb2 import RoundTrip, RoundTripsReply
from tests.unit.operations.metered import Metered, add_hosts, open_metered, resource

SHADOWS = {"shadows": {"count": 1}}


@pytest.fixture
def world(tmp_path: Path) -> Metered:
    """Two resources at 60 and 30 requests per second, on four hosts."""
    metered = open_metered(
        tmp_path, {("shop", "rate"): lambda _: 60.0, ("mail", "rate"): lambda _: 30.0}
    )
    add_hosts(metered.ledger, a=100, b=80, c=70, d=300)
    metered.ledger.put_resource(resource("shop", "a", **SHADOWS))
    metered.ledger.put_resource(resource("mail", "b", **SHADOWS))
    return metered


def test_rankings_assignment_and_reasons(world: Metered) -> None:
    change = place(world)
    result = change.apply()
    assert not change.changed
    rows = {row["host"]: row for row in result["rankings"]["shop"]}
    assert rows["d"]["terms"]["availability"] == pytest.approx(0.8)
    assert rows["a"]["rejected"]["rule"] == "primary"
    assert rows["b"]["rejected"]["rule"] == "capacity"
    assert "90 requests/s" in rows["b"]["rejected"]["reason"]
    assert result["assignment"] == {"mail": ["d"], "shop": ["d"]}
    assert sum(result["weights"]["shop"].values()) == pytest.approx(1.0)
    assert result["notes"] == {}


def test_top_cuts_what_is_shown_and_not_what_is_chosen(world: Metered) -> None:
    result = place(world, ["shop"], top=1).apply()
    assert [row["host"] for row in result["rankings"]["shop"]] == ["d"]
    with pytest.raises(SpecError, match="top 0"):
        place(world, top=0)


def test_recording_is_a_change_once_and_small_moves_are_none(world: Metered) -> None:
    first = place(world, record=True)
    assert first.changed
    first.apply()
    kept = world.ledger.placement("shop")
    assert kept is not None
    assert kept["hosts"] == ["d"]
    assert kept["ranking"][0]["terms"]["availability"] == pytest.approx(0.8)
    world.curves["shop", "rate"] = lambda _: 62.0
    world.time += 60
    assert not place(world, record=True).changed
    assert place(world, weights={"availability": 0.1}, record=True).changed


def test_check_mode_stores_no_placement(world: Metered) -> None:
    change = place(world, record=True)
    assert change.preview["assignment"]["shop"] == ["d"]
    assert change.diff["before"] == {}
    assert world.ledger.placement("shop") is None


def test_whose_weights_count(world: Metered) -> None:
    def weighs(**asked: Any) -> float:
        return float(place(world, ["shop"], **asked).apply()["weights"]["shop"]["availability"])

    assert weighs() == 0.5
    learned = {"load_similarity": 0.3, "network_proximity": 0.3, "availability": 0.4}
    world.ledger.put_learned_weights("shop", learned)
    assert weighs() == 0.4
    world.ledger.put_control(Control().pin("shop", {**learned, "availability": 1.4}))
    assert weighs() == pytest.approx(0.7)
    assert weighs(weights={"load_similarity": 0, "network_proximity": 0}) == 1.0


def test_a_shadow_that_is_there_stays(world: Metered) -> None:
    world.curves["shop", "rate"] = lambda _: 20.0
    world.ledger.put_instance(
        Instance(resource="shop", host="c", role="shadow", mode="warm", state="frozen",
                 address="127.0.0.1", port=80)
    )  # fmt: skip
    world.ledger.put_learned_weights(
        "shop", {"load_similarity": 0.9, "network_proximity": 0.0, "availability": 0.1}
    )
    assert place(world, ["shop"]).apply()["assignment"] == {"shop": ["c"]}


def test_metrics_that_do_not_answer_are_a_note(world: Metered) -> None:
    world.broken = True
    result = place(world).apply()
    assert "the demand of shop is not known" in result["notes"]["shop"][0]
    assert result["assignment"]["shop"]


def test_unknown_names_and_weights_are_refused(world: Metered) -> None:
    with pytest.raises(UnknownNameError, match="shop"):
        place(world, ["shoop"])
    with pytest.raises(SpecError, match="unknown term luck"):
        place(world, weights={"luck": 1})


def test_an_evaluation_ranks_by_the_peaks_that_it_forecasts(world: Metered) -> None:
    spec = world.ledger.resource("shop")
    rows = rank_resources(world, [spec], peaks={"shop": {"rate": 250.0}})["shop"]
    by_host = {row.host: row for row in rows}
    assert by_host["c"].rejected is not None
    assert by_host["d"].terms["availability"] == pytest.approx(1 - 250 / 300)
    # mail is not being evaluated, and still counts where it runs
    small = rank_resources(world, [spec], peaks={"shop": {"rate": 40.0}})["shop"]
    there = next(row for row in small if row.host == "b")
    assert there.terms["availability"] == pytest.approx(1 - 70 / 80)


class Agents:
    """Agents that measure a round trip by what a test says, and count how often."""

    def __init__(self, seconds: dict[tuple[str, str], float]) -> None:
        self.seconds, self.calls = seconds, 0
        self.agent = self
        self.MeasureRoundTrips = None

    def client(self, host_name: str) -> Any:
        observer = host_name

        class Client:
            agent = self

            @staticmethod
            def call(method: object, request: Any, timeout: float) -> RoundTripsReply:
                self.calls += 1
                return RoundTripsReply(
                    round_trips=[
                        RoundTrip(host=p.host, seconds=self.seconds.get((observer, p.host), -1.0))
                        for p in request.peers
                    ]
                )

        return Client


def test_round_trips_are_measured_once_and_again_when_old(world: Metered) -> None:
    far = {("a", "b"): 0.0002, ("a", "c"): 0.0002, ("a", "d"): 0.04}
    world.access = agents = Agents(far)  # type: ignore[assignment]
    rows = {row["host"]: row for row in place(world, ["shop"]).apply()["rankings"]["shop"]}
    assert rows["d"]["terms"]["network_proximity"] == pytest.approx(0.002 / 0.042)
    assert rows["c"]["terms"]["network_proximity"] == pytest.approx(0.002 / 0.0022)
    assert world.ledger.round_trips() == far
    place(world, ["shop"])
    assert agents.calls == 1
    world.time += 3600
    place(world, ["shop"])
    assert agents.calls == 2


def test_agents_that_do_not_answer_leave_it_to_the_zones(world: Metered) -> None:
    rows = place(world, ["shop"]).apply()["rankings"]["shop"]
    assert world.agents.asked == ["a"]
    assert {row["terms"]["network_proximity"] for row in rows if row["host"] != "a"} == {0.4}
