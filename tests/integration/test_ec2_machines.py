"""A host's machine is made once, found again, and never left without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from foreshadow.domain.errors import (
    AccessError,
    FencedError,
    NoCapacityError,
    RefusedError,
    ServiceError,
    SpecError,
    UnreachableError,
)
from foreshadow.domain.fleet import Role, RunState
from foreshadow.domain.spec import Mode
from tests.support.aws.faults import Fault
from tests.support.aws.fleet import HOST, Fleet, enumerate_requests, running_fleet
from tests.support.aws.server import running_cloud
from tests.support.services import spec

SHOP, CART = spec("shop", HOST), spec("cart", HOST)


@pytest.fixture(scope="module")
def running() -> Iterator[Fleet]:
    with running_cloud() as cloud, running_fleet(cloud) as made:
        yield made


@pytest.fixture
def fleet(running: Fleet) -> Fleet:
    running.rest()
    return running


def actions(fleet: Fleet) -> list[str]:
    return [call.action for call in fleet.cloud.calls]


def test_what_it_costs(fleet: Fleet) -> None:
    driver = fleet.driver()
    made = driver.create(SHOP, Mode.WARM, 1)
    assert actions(fleet) == ["DescribeInstances", "DescribeInstances", "RunInstances"]
    fleet.cloud.forget()
    assert driver.get("shop") == made
    assert actions(fleet) == ["DescribeInstances"], "all that an ensure costs that changes nothing"
    driver.freeze(SHOP, Mode.COLD, 1)
    fleet.cloud.forget()
    assert driver.create(SHOP, Mode.COLD, 1) == driver.get("shop")
    assert actions(fleet) == ["DescribeInstances"] * 2


def test_a_cold_shadow_stops_its_machine_and_comes_back_with_what_it_knew(fleet: Fleet) -> None:
    made = fleet.driver().create(SHOP, Mode.COLD, 4)
    (machine,) = fleet.machines.alive()
    assert fleet.machines.state(machine) == "stopped"
    assert fleet.driver().get("shop") == made
    health = fleet.driver().health("shop")
    assert (health.healthy, health.detail) == (False, "its machine is stopped")
    assert fleet.driver().in_flight("shop") == 0
    with pytest.raises(ServiceError, match="its machine is stopped; activate it first"):
        fleet.driver().promote("shop", 4)
    with pytest.raises(FencedError, match="token 3 is late: 4"):
        fleet.driver().activate(SHOP, 3)
    fleet.driver().activate(SHOP, 5)
    assert fleet.machines.alive() == [machine]
    assert fleet.driver().promote("shop", 5).role is Role.PRIMARY


def test_a_machine_left_running_under_a_cold_shadow_is_not_at_rest(fleet: Fleet) -> None:
    driver = fleet.driver()
    fleet.cloud.trap(Fault.DENIED, fits=lambda call: call.action == "StopInstances")
    with pytest.raises(AccessError, match="may not do ec2:StopInstances"):
        driver.create(SHOP, Mode.COLD, 1)
    left = driver.get("shop")
    assert left is not None
    assert left.state is RunState.FAILED
    assert driver.create(SHOP, Mode.COLD, 1).state is RunState.STOPPED
    assert [fleet.machines.state(one) for one in fleet.machines.alive()] == ["stopped"]


def test_hibernation_is_asked_for_where_it_is_wanted(fleet: Fleet) -> None:
    fleet.driver(ec2_hibernate="true").create(SHOP, Mode.COLD, 1)
    (stop,) = [call for call in fleet.cloud.calls if call.action == "StopInstances"]
    assert stop.form["Hibernate"] == "true"


def test_a_machine_in_a_subnet_gets_the_hosts_address(fleet: Fleet) -> None:
    subnet = fleet.client.describe_subnets()["Subnets"][0]
    address = subnet["CidrBlock"].rsplit(".", 1)[0] + ".77"
    fleet.agent.host = fleet.agent.host.model_copy(update={"address": address})
    fleet.driver(ec2_subnet=subnet["SubnetId"]).create(SHOP, Mode.WARM, 1)
    (run,) = [call for call in fleet.cloud.calls if call.action == "RunInstances"]
    assert run.form["PrivateIpAddress"] == address
    named = fleet.agent.host.model_copy(update={"address": "edge-a.example"})
    fleet.rest()
    fleet.agent.host = named
    with pytest.raises(RefusedError, match="is a name, which no machine can be given"):
        fleet.driver(ec2_subnet=subnet["SubnetId"]).create(SHOP, Mode.WARM, 1)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.RESET, Fault.UNAVAILABLE, Fault.THROTTLED])
def test_a_create_that_is_tried_again_makes_one_machine(fleet: Fleet, fault: Fault) -> None:
    trap = fleet.cloud.trap(fault, fits=lambda call: call.action == "RunInstances")
    fleet.driver().create(SHOP, Mode.WARM, 1)
    assert trap.sprung == 1
    assert len(fleet.machines.alive()) == 1


def test_one_who_cannot_see_the_machine_yet_gets_the_same_one(fleet: Fleet) -> None:
    fleet.machines.hidden = 3.0
    fleet.cloud.trap(Fault.LOST, fits=lambda call: call.action == "RunInstances", times=2)
    with pytest.raises(UnreachableError):
        fleet.driver().create(SHOP, Mode.WARM, 1)
    fleet.driver().create(SHOP, Mode.WARM, 2)
    assert len(fleet.machines.alive()) == 1


def test_several_at_once_make_one_machine(fleet: Fleet) -> None:
    fleet.machines.hidden = 0.2
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: fleet.driver().create(SHOP, Mode.WARM, 1), range(4)))
    assert len(fleet.machines.alive()) == 1


def test_a_machine_that_was_terminated_is_made_anew(fleet: Fleet) -> None:
    for turn in (1, 2, 3):
        fleet.driver().create(SHOP, Mode.WARM, turn)
        assert len(fleet.machines.alive()) == 1
        fleet.driver().remove("shop", turn)
        assert fleet.machines.alive() == []
        assert fleet.driver().get("shop") is None


def test_no_capacity_is_told_and_leaves_nothing(fleet: Fleet) -> None:
    fleet.machines.full = True
    with pytest.raises(NoCapacityError, match="take the next host of the ranking"):
        fleet.driver().create(SHOP, Mode.WARM, 1)
    assert fleet.machines.alive() == []
    assert fleet.driver().get("shop") is None


def test_a_machine_whose_agent_never_answers_is_kept_and_owned(fleet: Fleet) -> None:
    fleet.agent.deaf = True
    with pytest.raises(ServiceError, match="does not answer 50ms after its start"):
        fleet.driver(ec2_boot_timeout="50ms").create(SHOP, Mode.WARM, 1)
    with pytest.raises(UnreachableError, match="terminate that in EC2"):
        fleet.driver().remove("shop", 1)
    fleet.agent.deaf = False
    left = fleet.driver().get("shop")
    assert left is not None
    assert left.state is RunState.FAILED
    fleet.driver().create(SHOP, Mode.WARM, 1)
    assert len(fleet.machines.alive()) == 1


def test_a_machine_that_dies_while_it_boots_is_told(fleet: Fleet) -> None:
    fleet.agent.deaf = True
    fleet.machines.boots = lambda one: fleet.client.terminate_instances(InstanceIds=[one])
    try:
        with pytest.raises(ServiceError, match="its machine is gone while it should start"):
            fleet.driver().create(SHOP, Mode.WARM, 1)
    finally:
        fleet.machines.boots = lambda _: None


def test_a_host_carries_one_resource(fleet: Fleet) -> None:
    fleet.driver().create(SHOP, Mode.WARM, 1)
    assert fleet.driver().get("cart") is None
    with pytest.raises(RefusedError, match="carries shop already; give cart another host"):
        fleet.driver().create(CART, Mode.WARM, 1)
    fleet.driver().remove("cart", 1)
    assert len(fleet.machines.alive()) == 1


def test_a_machine_that_somebody_else_made_is_used_and_not_terminated(fleet: Fleet) -> None:
    tags = [{"Key": "foreshadow:host", "Value": HOST}]
    fleet.client.run_instances(
        LaunchTemplate={"LaunchTemplateName": "fleet"}, MinCount=1, MaxCount=1, ClientToken="tf",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )  # fmt: skip
    (machine,) = fleet.machines.alive()
    fleet.driver().create(SHOP, Mode.WARM, 1)
    assert fleet.machines.alive() == [machine]
    fleet.driver().remove("shop", 1)
    assert fleet.machines.alive() == [machine]
    assert fleet.driver().get("shop") is None
    fleet.driver().create(CART, Mode.WARM, 1)


def test_two_machines_of_one_host_are_told(fleet: Fleet) -> None:
    tags = [{"Key": "foreshadow:host", "Value": HOST}]
    for token in ("a", "b"):
        fleet.client.run_instances(
            LaunchTemplate={"LaunchTemplateName": "fleet"}, MinCount=1, MaxCount=1,
            ClientToken=token,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )  # fmt: skip
    with pytest.raises(RefusedError, match="both say that they are its own"):
        fleet.driver().get("shop")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"ec2_launch_template": ""}, "launch_template"),
        ({"ec2_subnet": "10.0.0.0/24"}, "subnet"),
        ({"ec2_launch_tmplate": "x"}, "did you mean launch_template?"),
    ],
)
def test_labels_are_refused_in_one_line(fleet: Fleet, labels: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        fleet.driver(**labels)
    assert said in str(caught.value)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DENIED])
def test_whatever_goes_wrong_there_is_one_machine_and_then_none(fleet: Fleet, fault: Fault) -> None:
    assert enumerate_requests(fleet, fault, stride=4) >= 4
