"""The director ``route53`` on moto, behind what makes it as slow and as strict as Route 53 is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from foreshadow.directors.route53 import Route53Director
from foreshadow.directors.route53_options import parse_options
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    ForeshadowError,
    SpecError,
    UnknownNameError,
)
from foreshadow.domain.spec import DirectorSpec
from foreshadow.testing.directors import LONG_AGO, CachingConformance
from tests.support.aws.calls import Call
from tests.support.aws.faults import Fault
from tests.support.aws.records import Records
from tests.support.aws.server import running_cloud
from tests.support.aws.zone import NAME, TTL, WeightedZone, weighted_zone


@pytest.fixture(scope="module")
def zone() -> Iterator[WeightedZone]:
    records = Records(pending=0.05)
    with running_cloud() as cloud:
        cloud.truths.append(records)
        with weighted_zone(cloud, records) as made:
            yield made


class Route53World:
    """The conformance suite's world."""

    ttl = float(TTL)

    def __init__(self, zone: WeightedZone) -> None:
        self.zone = zone

    def director(self) -> Route53Director:
        return self.zone.director()

    def hasty_director(self) -> Route53Director:
        return self.zone.director(admit_timeout="500ms")

    def rest(self) -> None:
        self.zone.rest()

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        self.zone.sites[host].well = False
        try:
            yield
        finally:
            self.zone.sites[host].well = True

    @contextmanager
    def silent(self) -> Iterator[None]:
        with self.zone.cloud.falling_silent():
            yield

    def request_open(self, host: str) -> None:
        raise NotImplementedError("the DNS knows of no requests")

    def served_by(self) -> set[str]:
        return set(self.zone.weights())

    def pass_time(self, seconds: float) -> None:
        self.zone.skew[0] += seconds


class TestRoute53Conformance(CachingConformance):
    counts_requests = False

    @pytest.fixture
    def world(self, zone: WeightedZone) -> Route53World:
        return Route53World(zone)


@pytest.fixture
def rested(zone: WeightedZone) -> WeightedZone:
    zone.rest()
    return zone


def changes(call: Call) -> bool:
    return call.action == "ChangeResourceRecordSets"


def test_what_it_costs(rested: WeightedZone) -> None:
    rested.records.pending = 0.0
    director, cloud = rested.director(), rested.cloud
    director.admit("edge-b", LONG_AGO, 1)
    costs = []
    for weights in ({"edge-a": 50, "edge-b": 50}, {"edge-b": 100}, {"edge-b": 100}):
        cloud.forget()
        director.apply(weights, 1)
        costs.append(cloud.count())
    rested.records.pending = 0.05
    assert costs == [(1, 1), (1, 1), (1, 0)]
    cloud.forget()
    assert [endpoint.weights for endpoint in director.read()] == [{"edge-b": 100}]
    assert cloud.count() == (1, 0)


def test_who_waits_looks_often_and_asks_seldom(rested: WeightedZone) -> None:
    director = rested.director(poll="10s")
    director.admit("edge-b", LONG_AGO, 1)
    rested.records.pending = 0.0
    director.apply({"edge-b": 100}, 1)
    rested.records.pending = 0.05
    rested.cloud.forget()
    for _ in range(20):
        assert not director.drained("edge-a")
        assert director.cached_until("edge-a") > LONG_AGO
        assert [answer.hosts for answer in director.answers()] == [("edge-b",)]
    assert rested.cloud.count() == (1, 0)


def test_the_weights_are_never_all_zero_on_the_way(rested: WeightedZone) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    for weights in ({"edge-a": 90, "edge-b": 10}, {"edge-b": 100}, {"edge-a": 100}):
        director.apply(weights, 1)
    assert len(rested.records.history) >= 4
    assert all(any(weights.values()) for weights in rested.records.history)


def test_a_change_is_waited_for_until_every_server_shows_it(rested: WeightedZone) -> None:
    director = rested.director(sync_timeout="200ms")
    director.admit("edge-b", LONG_AGO, 1)
    rested.records.pending = 5.0
    try:
        with pytest.raises(DirectorError, match="after 200ms not every server"):
            director.apply({"edge-b": 100}, 1)
    finally:
        rested.records.pending = 0.05
    assert rested.weights() == {"edge-b": 100}


def test_a_zone_that_is_being_changed_is_tried_again(rested: WeightedZone) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    rested.put({**rested.record("edge-a", 100), "TTL": TTL})
    rested.records.busy, rested.records.pending = True, 0.3
    try:
        rested.put(rested.record("edge-a", 100))
        director.apply({"edge-b": 100}, 1)
    finally:
        rested.records.busy, rested.records.pending = False, 0.05
    assert rested.weights() == {"edge-b": 100}
    assert sum(map(changes, rested.cloud.calls)) > 3


def test_of_two_that_race_the_newer_one_wins_whoever_writes_first(rested: WeightedZone) -> None:
    for host in ("edge-a", "edge-b"):
        rested.director().admit(host, LONG_AGO, 1)
    rested.director().admit("edge-b", LONG_AGO, 1)
    told: dict[int, Exception | None] = {}
    ready = threading.Barrier(8)

    def act(token: int) -> None:
        weights = {"edge-b": token} if token == 100 else {"edge-a": 100 - token, "edge-b": token}
        ready.wait()
        try:
            rested.director().apply(weights, token)
            told[token] = None
        except ForeshadowError as error:
            told[token] = error

    threads = [threading.Thread(target=act, args=(token,)) for token in range(11, 19)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [token for token, error in told.items() if error is None]
    shown = rested.weights()
    assert shown["edge-b"] == max(won), "what is shown is what the newest that was told so has set"
    for error in filter(None, told.values()):
        assert isinstance(error, FencedError) or "somebody else changes the records" in str(error)


def test_a_change_by_hand_between_reading_and_writing_is_not_undone(rested: WeightedZone) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    forwarded = rested.records.answer
    by_hand = [{**rested.record("edge-a", 77), "TTL": 30}]

    def interfere(call: Call, forward: Any) -> Any:
        if changes(call) and by_hand:
            rested.records._records[NAME, "A", "edge-a"].update(TTL="30")
            by_hand.clear()
        return forwarded(call, forward)

    rested.records.answer = interfere  # type: ignore[method-assign]
    try:
        director.apply({"edge-b": 100}, 1)
    finally:
        del rested.records.answer
    assert rested.weights() == {"edge-b": 100}
    assert rested.records._records[NAME, "A", "edge-a"]["TTL"] == "30", "his TTL is kept"


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.UNAVAILABLE, Fault.RESET, Fault.LOST])
def test_a_change_that_fails_once_is_made_once(rested: WeightedZone, fault: Fault) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    rested.records.history.clear()
    trap = rested.cloud.trap(fault, fits=changes)
    director.apply({"edge-b": 100}, 1)
    assert trap.sprung == 1
    assert rested.weights() == {"edge-b": 100}
    shown = [weights for weights in rested.records.history if weights["edge-b"] == 100]
    assert len(shown) == len(rested.records.history)


def test_a_lost_reply_is_followed_until_the_change_is_in_sync(rested: WeightedZone) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    rested.cloud.trap(Fault.LOST, fits=changes)
    rested.cloud.forget()
    rested.cloud.trap(Fault.LOST, fits=changes)
    director.apply({"edge-b": 100}, 1)
    assert [call.action for call in rested.cloud.calls][-1] == "GetChange"


def test_names_below_the_record_are_paged_over(rested: WeightedZone) -> None:
    below = [
        {"Name": f"{i:03}.{NAME}", "Type": "TXT", "TTL": 9, "ResourceRecords": [{"Value": '"x"'}]}
        for i in range(25)
    ]
    rested.put(*below)
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 5)
    rested.records.page = 10
    try:
        with pytest.raises(FencedError):
            rested.director().apply({"edge-b": 100}, 4)
        director.apply({"edge-b": 100}, 5)
    finally:
        rested.records.page = 100
    assert rested.weights() == {"edge-b": 100}


def test_all_weights_at_zero_are_an_equal_split_and_told(rested: WeightedZone) -> None:
    rested.put(rested.record("edge-a", 0))
    (endpoint,) = rested.director().read()
    assert endpoint.weights == {"edge-a": 50, "edge-b": 50}
    assert "equal split" in endpoint.drift


def test_hosts_may_be_named_by_where_their_records_lead(rested: WeightedZone) -> None:
    targets = {f"host-{i}": site.address for i, site in enumerate(rested.sites.values())}
    (endpoint,) = rested.director(targets=targets).read()
    assert endpoint.weights == {"host-0": 100}


def test_another_resources_record_is_left_alone(rested: WeightedZone) -> None:
    txt = {"Name": f"_foreshadow.{NAME}", "Type": "TXT", "TTL": 60}
    rested.put({**txt, "ResourceRecords": [{"Value": '"foreshadow" "resource=cart" "token=1"'}]})
    with pytest.raises(DirectorError, match="belongs to the resource cart"):
        rested.director().apply({"edge-a": 100}, 1)


def test_records_that_are_not_weighted_or_not_there_are_told(rested: WeightedZone) -> None:
    plain = {"Name": "plain.shop.example.", "Type": "A", "TTL": 60}
    rested.put({**plain, "ResourceRecords": [{"Value": "10.0.0.9"}]})
    with pytest.raises(DirectorError, match="are not weighted"):
        rested.director(record="plain.shop.example").read()
    with pytest.raises(UnknownNameError, match=r"none\.shop"):
        rested.director(record="none.shop.example").read()


def test_a_record_with_a_health_check_is_judged_by_the_checkers(rested: WeightedZone) -> None:
    checked = {
        **rested.record("edge-b", 0),
        "HealthCheckId": "0d0c7c2a-0000-4000-8000-000000000000",
    }
    rested.put(checked)
    seen: list[str] = []

    def status(call: Call, forward: Any) -> Any:
        if call.action != "GetHealthCheckStatus":
            return None
        seen.append("Failure: timeout" if len(seen) < 2 else "Success: 200")
        reports = "".join(
            f"<HealthCheckObservation><Region>{region}</Region><IPAddress>192.0.2.1</IPAddress>"
            f"<StatusReport><Status>{seen[-1]}</Status><CheckedTime>{at}</CheckedTime>"
            "</StatusReport></HealthCheckObservation>"
            for region, at in (
                ("eu-west-1", "2026-11-24T08:00:10Z"), ("us-east-1", "2026-11-24T07:00:00Z")
            )
        )  # fmt: skip
        return 200, "text/xml", (
            '<GetHealthCheckStatusResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/">'
            f"<HealthCheckObservations>{reports}</HealthCheckObservations>"
            "</GetHealthCheckStatusResponse>"
        ).encode()  # fmt: skip

    class Checkers:
        answer = staticmethod(status)

    rested.cloud.truths.insert(0, Checkers())
    try:
        seen.extend(["long ago"] * 2)
        with pytest.raises(DirectorError, match="0 of 2 checkers of Route 53"):
            rested.director(admit_timeout="100ms").admit("edge-b", WallTime(1_795_510_000.0), 1)
        seen.clear()
        rested.director().admit("edge-b", WallTime(1_795_507_200.0), 1)
    finally:
        rested.cloud.truths.pop(0)
    assert seen == ["Failure: timeout", "Failure: timeout", "Success: 200"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"record": "www.shop.example"}, "zone: is required"),
        ({"zone": "Z1", "record": "www", "type": "MX"}, "type"),
        ({"zone": "not a zone", "record": "www"}, "zone: 'not a zone' is not"),
        ({"zone": "Z1", "record": "www", "tll": 1}, "unknown key"),
        ({"zone": "Z1", "record": "www", "check": {"port": 80, "path": "healthz"}}, "check.path"),
    ],
)
def test_options_are_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_options(DirectorSpec.model_validate({"kind": "route53", **options}), "checkout")
    assert said in str(caught.value)
