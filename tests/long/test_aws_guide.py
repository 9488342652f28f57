"""The guide from an empty account to the first automatic switchover is followed as it stands.

Terraform makes hosts, load balancer and records; machines boot from the user data that it wrote;
the playbooks run with ``ec2``, ``elbv2``, ``route53`` and ``cloudwatch``. Then others are asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest

from tests.support.aws.account import QUIET, Account, running_account
from tests.support.aws.calls import Call
from tests.support.peer import peer_programs
from tests.support.terraform import ROOT, MissingError

pytestmark = pytest.mark.timeout(1800)
INVENTORY = "ansible-playbook -i edge.terraform_pool.yml foreshadow.core"
PROJECT = "terraform -chdir=terraform/examples/aws"
LEARNED = re.compile(r"Measure what finished, and learn\] \**\s+changed:")
READER = ROOT / "tests" / "support" / "aws" / "reader.yml"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    try:
        with running_account(tmp_path_factory.mktemp("guide")) as made:
            made.follow()
            yield made
    except MissingError as missing:
        pytest.skip(str(missing))


def said_by(account: Account, command: str) -> list[str]:
    """Return what the blocks with a command said, in order."""
    return [
        said
        for (name, _), said in zip(account.calls, account.said, strict=True)
        if command in name
    ]  # fmt: skip


def ledger(account: Account, subset: str) -> list[dict[str, Any]]:
    said = account.run(f"ansible localhost -m foreshadow.core.ledger_info -a subset={subset}")
    found: list[dict[str, Any]] = json.loads(said[said.index("{") :])[subset]
    return found


def traffic(account: Account) -> dict[str, dict[str, int]]:
    """Return the weights above 0 as the cloud has them: by the load balancer and by records."""
    (shares,) = account.targets.weights.values()
    groups = {arn.split("/")[-2]: weight for arn, weight in shares.items() if weight}
    records = account.records.weights("direct.shop.example.")
    return {"groups": groups, "records": {host: w for host, w in records.items() if w}}


def test_the_inventory_lists_the_hosts(account: Account) -> None:
    (graph,) = said_by(account, "ansible-inventory")
    for line in ("@foreshadow_pool:", "@edge:", "@driver_agent:", "@driver_ec2:", "@zone_"):
        assert line in graph, graph
    assert graph.count("edge-a") == graph.count("edge-b") == 4


def test_it_ends_with_an_automatic_switchover(account: Account) -> None:
    before, after = said_by(account, f"{INVENTORY}.evaluate")
    assert "shop: stay" in before
    assert "latency is 400 ms on edge-a, above its limit of 250 ms" in after
    assert '"verdict": "switch"' in after, after
    moves = [one for one in ledger(account, "switchovers") if not one["plan"]["drill"]]
    assert [(one["outcome"], one["source"], one["destination"]) for one in moves] == [
        ("switched", "edge-a", "edge-b")
    ]
    assert list(traffic(account)["records"]) == ["edge-b"]
    assert len(traffic(account)["groups"]) == 1


def test_the_drill_went_there_and_back(account: Account) -> None:
    (said,) = said_by(account, f"{INVENTORY}.drill")
    assert '"outcome": "reversed"' in said, said
    drills = [one for one in ledger(account, "switchovers") if one["plan"]["drill"]]
    ways = {(one["outcome"], one["source"], one["destination"]) for one in drills}
    assert ways == {("switched", "edge-a", "edge-b"), ("reversed", "edge-b", "edge-a")}


def test_a_second_run_of_everything_changes_nothing(account: Account) -> None:
    account.load(*QUIET)
    account.run("ansible localhost -m foreshadow.core.feedback -a window=1s")
    # There is another primary: hosts are ranked anew, and another way has to be drilled once.
    account.run(f"{INVENTORY}.converge")
    account.run(f"{INVENTORY}.drill")
    again = [
        f"{INVENTORY}.converge",
        f"{INVENTORY}.drill",
        f"{INVENTORY}.evaluate",
        f"{INVENTORY}.recover",
        f"{INVENTORY}.switchover -e foreshadow_resource=shop -e foreshadow_to=edge-b",
    ]
    for playbook in again:
        said = account.run(playbook)
        if LEARNED.search(said):  # a window has passed meanwhile, and that is measured once
            said = account.run(playbook)
        changed = re.findall(r"changed=(\d+) ", said)
        assert changed, said
        assert set(changed) == {"0"}, said
    learned = account.run("ansible localhost -m foreshadow.core.feedback -a window=1s")
    assert '"changed": false' in learned


def test_there_is_one_machine_for_each_host_and_each_is_owned(account: Account) -> None:
    assert account.boots.failed == {}
    addresses = sorted(
        next(v for k, v in sorted(form.items()) if k.endswith("PrivateIpAddress"))
        for instance, form in account.machines.requests.items()
        if instance in account.machines.alive()
    )
    assert addresses == sorted(account.addresses.values())


def test_other_modules_see_what_ours_report(account: Account) -> None:
    seen = read(account)
    machines = {one["private_ip_address"]: one for one in seen["machines"]}
    known = {one["host"]: one for one in ledger(account, "instances")}
    assert sorted(machines) == sorted(account.addresses.values())
    for host, address in account.addresses.items():
        assert machines[address]["state"]["name"] == "running"
        assert known[host]["address"] == address
    made = machines[account.addresses["edge-b"]]["tags"]
    assert (made["foreshadow:host"], made["foreshadow:resource"]) == ("edge-b", "shop")

    primary = next(host for host, one in known.items() if one["role"] == "primary")
    groups = {one["target_group_arn"]: one for one in seen["groups"]}
    (balancer,) = seen["balancers"]
    (listener,) = balancer["listeners"]
    shares = listener["default_actions"][0]["forward_config"]["target_groups"]
    carrying = [groups[one["target_group_arn"]] for one in shares if one["weight"]]
    (health,) = carrying[0]["targets_health_description"]
    assert len(carrying) == 1
    assert health["target"]["id"] == account.addresses[primary]
    assert health["target_health"]["state"] == "healthy"

    weights = {one["set_identifier"]: one["weight"] for one in seen["records"] if "weight" in one}
    assert weights == {host: 100 * (host == primary) for host in account.addresses}


def read(account: Account) -> dict[str, Any]:
    """Return what an independent reader sees."""
    work = account.follower.folder
    shop = json.loads((work / "group_vars" / "all" / "shop.json").read_text())
    zone = next(one["zone"] for one in shop["shop_directors"] if one["kind"] == "route53")
    seen = work / "seen.json"
    programs = peer_programs()
    account.run(
        f"env -u ANSIBLE_COLLECTIONS_PATH {programs}/ansible-playbook {READER} "
        f"-e ansible_python_interpreter={programs}/python -e zone={zone} -e seen={seen}"
    )
    found: dict[str, Any] = json.loads(seen.read_text())
    return found


def test_the_controller_needs_no_more_than_the_policies_allow(account: Account) -> None:
    allowed = _allowed_to_the_controller(account)
    asked = {
        call.permission
        for name, calls in account.calls
        if name.startswith(("ansible-playbook", "ansible localhost"))
        for call in calls
        if not _by_a_machine(call)
    }
    assert "elasticloadbalancing:ModifyListener" in asked
    assert asked <= allowed, asked - allowed


def test_terraform_needs_no_more_than_the_readme_says(account: Account) -> None:
    asked = {
        call.permission
        for name, calls in account.calls
        if "first.tfplan" in name or name.startswith(f"{PROJECT} plan")
        for call in calls
    }
    assert "ec2:RunInstances" in asked
    assert _beyond_the_readme(asked) == []


def _allowed_to_the_controller(account: Account) -> set[str]:
    said = account.run(f"{PROJECT} output -json controller_policies")
    return {
        action
        for policy in json.loads(said)
        for statement in json.loads(policy)["Statement"]
        for action in _listed(statement["Action"])
    }


def _beyond_the_readme(asked: set[str]) -> list[str]:
    """Return what was asked for that the README's policy for Terraform does not allow."""
    text = (ROOT / "terraform" / "README.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    allowed = [one for each in json.loads(policy)["Statement"] for one in each["Action"]]
    return sorted(one for one in asked if not any(fnmatch(one, known) for known in allowed))


def _by_a_machine(call: Call) -> bool:
    """Return whether it is no call of a controller's modules.

    A machine that booted asks for its certificate, the test for what it booted from, and the
    inventory reads Terraform's state.
    """
    return call.service in ("ssm", "iam", "s3") or call.action == "DescribeLaunchTemplateVersions"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_terraform_has_nothing_to_change(account: Account) -> None:
    for module in ("module.pool", "module.director"):
        account.run(f"{PROJECT} plan -detailed-exitcode -target={module}")
    account.run(f"{PROJECT} plan -detailed-exitcode")


def test_the_state_was_locked_beside_itself_while_it_was_changed(account: Account) -> None:
    (calls,) = [calls for name, calls in account.calls if " apply " in name]
    state = [(call.action, call.path.rpartition("/")[2]) for call in calls if call.service == "s3"]
    locked = state.index(("PutObject", "shop.tfstate.tflock"))
    written = state.index(("PutObject", "shop.tfstate"))
    freed = len(state) - 1 - state[::-1].index(("DeleteObject", "shop.tfstate.tflock"))
    assert locked < written < freed


def test_all_of_it_can_be_taken_away(account: Account) -> None:
    account.load(*QUIET)
    controller = _allowed_to_the_controller(account)
    account.take_away()
    assert account.machines.alive() == []
    asked = {call.permission for call in account.calls[-1][1]}
    assert {"ec2:TerminateInstances", "iam:DeleteRole", "route53:DeleteHostedZone"} <= asked
    assert _beyond_the_readme(asked - controller) == []
