"""The director ``elbv2`` on moto, behind what makes it as slow and as strict as AWS is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from foreshadow.directors.elbv2 import Elbv2Director
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import (
    DirectorError,
    FencedError,
    ForeshadowError,
    UnknownNameError,
    UnreachableError,
)
from foreshadow.testing.directors import LONG_AGO, DirectorConformance
from tests.support.aws.balancer import HOSTS, Balancer, make_balancer
from tests.support.aws.faults import Fault
from tests.support.aws.server import running_cloud
from tests.support.aws.targets import Targets


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    targets = Targets()
    with running_cloud() as cloud:
        cloud.truths.append(targets)
        yield make_balancer(cloud, targets)


class Elbv2World:
    """The conformance suite's world."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer

    def director(self) -> Elbv2Director:
        return self.balancer.director()

    def hasty_director(self) -> Elbv2Director:
        return self.balancer.director(admit_timeout="500ms")

    def rest(self) -> None:
        self.balancer.rest()

    @contextmanager
    def unwell(self, host: str) -> Iterator[None]:
        with self.balancer.targets.unwell(HOSTS[host]):
            yield

    @contextmanager
    def silent(self) -> Iterator[None]:
        with self.balancer.cloud.falling_silent():
            yield

    def request_open(self, host: str) -> None:
        raise NotImplementedError("AWS does not tell of requests at a registered target")

    def served_by(self) -> set[str]:
        return self.balancer.served_by()


class TestElbv2Conformance(DirectorConformance):
    counts_requests = False

    @pytest.fixture
    def world(self, balancer: Balancer) -> Elbv2World:
        return Elbv2World(balancer)


@pytest.fixture
def rested(balancer: Balancer) -> Balancer:
    balancer.rest()
    return balancer


def tag(balancer: Balancer) -> str:
    reply = balancer.client.describe_tags(ResourceArns=[balancer.listener])
    return {t["Key"]: t["Value"] for t in reply["TagDescriptions"][0]["Tags"]}[
        "foreshadow:checkout"
    ]


def test_what_it_costs(rested: Balancer) -> None:
    director, cloud = rested.director(), rested.cloud
    director.admit("edge-b", LONG_AGO, 1)
    costs = []
    for weights in ({"edge-a": 90, "edge-b": 10}, {"edge-b": 100}, {"edge-b": 100}):
        cloud.forget()
        director.apply(weights, 1)
        costs.append(cloud.count())
    assert costs == [(2, 1), (2, 1), (2, 0)]
    cloud.forget()
    assert director.converged({"edge-b": 100})
    assert [endpoint.weights for endpoint in director.read()] == [{"edge-b": 100}]
    assert cloud.count() == (2, 0), "health is asked for only when somebody looks at it"


def test_a_token_notes_what_stood_there_before(rested: Balancer) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 7)
    director.apply({"edge-b": 100}, 7)
    assert tag(rested) == "7 edge-a=100"
    rested.director().apply({"edge-a": 100}, 9)
    assert tag(rested) == "9 edge-b=100"


def test_a_target_that_fell_ill_after_its_admission_gets_nothing(rested: Balancer) -> None:
    rested.director().admit("edge-b", LONG_AGO, 1)
    with rested.targets.unwell(HOSTS["edge-b"]):
        rested.targets.notice = 0.0
        try:
            with pytest.raises(DirectorError, match="its target is unhealthy"):
                rested.director().apply({"edge-b": 100}, 1)
        finally:
            rested.targets.notice = 5.0
    assert rested.weights() == {"edge-a": 100}


def test_a_primary_that_fails_can_still_be_left(rested: Balancer) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    with rested.targets.unwell(HOSTS["edge-a"]):
        director.apply({"edge-a": 50, "edge-b": 50}, 1)
        director.apply({"edge-b": 100}, 1)
    assert rested.served_by() == {"edge-b"}


def test_a_hot_shadow_is_registered_anew_so_that_its_check_is_new(rested: Balancer) -> None:
    rested.register("edge-b")
    time.sleep(rested.targets.initial)
    assert rested.state("edge-b") == "healthy"
    hasty = rested.director(admit_timeout="300ms")
    with (
        rested.targets.unwell(HOSTS["edge-b"]),
        pytest.raises(DirectorError, match="passed no check within 300ms"),
    ):
        hasty.admit("edge-b", WallTime(time.time()), 1)


def test_retiring_waits_until_the_target_has_drained(rested: Balancer) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    director.apply({"edge-b": 100}, 1)
    rested.targets.open[HOSTS["edge-a"]] = 1
    with pytest.raises(DirectorError, match="still drains after 200ms"):
        rested.director(drain_timeout="200ms").retire("edge-a", 1)
    assert not rested.director().drained("edge-a")
    done = threading.Timer(0.2, rested.targets.open.clear)
    done.start()
    director.retire("edge-a", 1)
    assert rested.state("edge-a") == "unused"
    assert rested.director().drained("edge-a")
    done.join()


def test_a_host_is_not_drained_before_every_node_can_know_that_it_left(rested: Balancer) -> None:
    director = rested.director(settle="300ms")
    director.admit("edge-b", LONG_AGO, 1)
    director.apply({"edge-b": 100}, 1)
    rested.cloud.forget()
    assert not director.drained("edge-a")
    assert rested.cloud.count() == (0, 0), "what is known need not be asked"
    time.sleep(0.3)
    assert director.drained("edge-a")


def test_a_host_that_comes_back_while_it_drains_is_checked_again(rested: Balancer) -> None:
    director = rested.director(drain_timeout="50ms")
    director.admit("edge-b", LONG_AGO, 1)
    director.apply({"edge-b": 100}, 1)
    rested.targets.open[HOSTS["edge-a"]] = 1
    with pytest.raises(DirectorError, match="still drains"):
        director.retire("edge-a", 1)
    director.admit("edge-a", LONG_AGO, 1)
    director.apply({"edge-a": 100}, 1)
    assert rested.served_by() == {"edge-a"}


def test_a_rule_is_directed_like_a_listener(rested: Balancer) -> None:
    client = rested.client
    (listener,) = client.describe_listeners(ListenerArns=[rested.listener])["Listeners"]
    rule = client.create_rule(
        ListenerArn=rested.listener, Priority=5, Actions=listener["DefaultActions"],
        Conditions=[{"Field": "path-pattern", "Values": ["/shop/*"]}],
    )["Rules"][0]["RuleArn"]  # fmt: skip
    director = rested.director(listener=None, rule=rule)
    director.admit("edge-b", LONG_AGO, 3)
    director.apply({"edge-a": 50, "edge-b": 50}, 3)
    assert director.converged({"edge-a": 50, "edge-b": 50})
    assert rested.weights() == {"edge-a": 100}, "the listener's own action is another one"
    with pytest.raises(FencedError):
        rested.director(listener=None, rule=rule).apply({"edge-a": 100}, 2)
    client.delete_rule(RuleArn=rule)


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.UNAVAILABLE, Fault.RESET, Fault.LOST])
def test_a_change_that_fails_once_is_made_once(rested: Balancer, fault: Fault) -> None:
    director = rested.director()
    director.admit("edge-b", LONG_AGO, 1)
    trap = rested.cloud.trap(fault, fits=lambda call: call.action == "ModifyListener")
    director.apply({"edge-b": 100}, 1)
    assert trap.sprung == 1
    assert rested.weights() == {"edge-b": 100}
    made = [call for call in rested.cloud.calls if call.action == "ModifyListener"]
    assert len(made) == (1 if fault is Fault.LOST else 2), "a lost reply is read back, not repeated"


def test_a_change_of_unknown_outcome_says_so(rested: Balancer) -> None:
    director = rested.director(attempts=1)
    director.admit("edge-b", LONG_AGO, 1)
    rested.cloud.trap(Fault.LOST, fits=lambda call: call.action == "ModifyListener")
    reads = [c.action for c in rested.cloud.calls].count("DescribeListeners")
    rested.cloud.trap(
        Fault.RESET, fits=lambda call: call.action == "DescribeListeners", skip=1, times=9
    )
    assert reads
    with pytest.raises(UnreachableError, match=r"cannot be read back.*its state is unknown"):
        director.apply({"edge-b": 100}, 1)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.DENIED, "may not do elasticloadbalancing:ModifyListener; allow it"),
        (Fault.EXPIRED, "have expired, so elasticloadbalancing:ModifyListener was refused"),
        (Fault.THROTTLED, "keeps throttling elasticloadbalancing:ModifyListener"),
    ],
)
def test_what_aws_refuses_is_told_and_nothing_is_half_done(
    rested: Balancer, fault: Fault, said: str
) -> None:
    director = rested.director(attempts=2)
    director.admit("edge-b", LONG_AGO, 1)
    rested.cloud.trap(fault, fits=lambda call: call.action == "ModifyListener", times=9)
    with pytest.raises(ForeshadowError) as caught:
        director.apply({"edge-b": 100}, 1)
    assert said in str(caught.value)
    assert "resource checkout, listener web" in str(caught.value)
    assert rested.weights() == {"edge-a": 100}


def test_a_listener_that_is_not_there_is_named_with_its_region(rested: Balancer) -> None:
    elsewhere = rested.listener.replace("eu-west-1", "us-east-1")
    with pytest.raises(UnknownNameError, match=r"us-east-1.*check its id"):
        rested.director(listener=elsewhere).read()
