"""Registering and removing: all of it or nothing, told before it is done, and only once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from foreshadow.domain.change import Change
from foreshadow.domain.errors import ForeshadowError, RefusedError, SpecError, UnknownNameError
from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.spec import Mode, merged
from foreshadow.operations.context import Context
from foreshadow.operations.registry import (
    register_hosts,
    register_resources,
    remove_hosts,
    remove_resources,
)


def _raw(name: str = "checkout", **more: Any) -> dict[str, Any]:
    service = {"command": ["/opt/x"], "port": 8080}
    return merged({"name": name, "primary": "edge-a", "service": service}, more)


def _put_instance(context: Context, host: str = "edge-a", role: Role = Role.PRIMARY) -> None:
    context.ledger.put_instance(
        Instance(
            resource="checkout",
            host=host,
            role=role,
            mode=Mode.WARM,
            state=RunState.RUNNING,
            address="127.0.0.1",
            port=8080,
        )
    )


def _names(context: Context) -> list[str]:
    return [spec.name for spec in context.ledger.resources()]


def _in_check_mode_then_twice(plan: Callable[[], Change]) -> Change:
    """Plan without applying, apply, and prove that there is nothing left to do."""
    shown = plan()
    assert shown.changed
    change = plan()
    assert (change.before, change.after) == (shown.before, shown.after)
    assert change.apply() == shown.preview
    again = plan()
    assert not again.changed
    assert again.apply() == shown.preview
    return change


def test_resources_are_registered_once_with_their_defaults(context: Context) -> None:
    defaults = {"policy": {"mode": "manual"}}
    raws = [_raw("search"), _raw("checkout", policy={"soak": "1s"})]
    change = _in_check_mode_then_twice(lambda: register_resources(context, raws, defaults))
    assert change.before == {"resources": {}}
    assert list(change.after["resources"]) == ["checkout", "search"]
    policy = change.after["resources"]["checkout"]["policy"]
    assert (policy["mode"], policy["soak"]) == ("manual", 1.0)
    assert [spec["name"] for spec in change.preview["resources"]] == ["search", "checkout"]
    assert _names(context) == ["checkout", "search"]


def test_resources_may_keep_apart_from_one_that_comes_with_them(context: Context) -> None:
    apart = _raw("mail", placement={"anti_affinity": ["checkout"]})
    assert register_resources(context, [apart, _raw("checkout")]).apply()
    assert not register_resources(context, [apart]).changed


def test_the_difference_shows_only_the_resources_that_are_named(context: Context) -> None:
    register_resources(context, [_raw("checkout"), _raw("search")]).apply()
    raws = [_raw("checkout", sync={"interval": "7s"})]
    change = _in_check_mode_then_twice(lambda: register_resources(context, raws))
    assert list(change.before["resources"]) == list(change.after["resources"]) == ["checkout"]
    assert change.before["resources"]["checkout"]["sync"]["interval"] == 5.0
    assert change.after["resources"]["checkout"]["sync"]["interval"] == 7.0


def test_pruning_removes_what_is_not_listed(context: Context) -> None:
    register_resources(context, [_raw("checkout"), _raw("search")]).apply()
    change = _in_check_mode_then_twice(
        lambda: register_resources(context, [_raw("search")], prune=True)
    )
    assert set(change.before["resources"]) == {"checkout", "search"}
    assert set(change.after["resources"]) == {"search"}
    assert _names(context) == ["search"]


def test_what_still_runs_is_neither_pruned_nor_removed(context: Context) -> None:
    register_resources(context, [_raw("checkout")]).apply()
    _put_instance(context)
    for plan in (
        lambda: register_resources(context, [_raw("search")], prune=True),
        lambda: remove_resources(context, ["checkout"]),
    ):
        with pytest.raises(RefusedError, match="still has instances on edge-a; remove them first"):
            plan()
    assert _names(context) == ["checkout"]
    context.ledger.remove_instance("checkout", "edge-a")
    change = _in_check_mode_then_twice(
        lambda: remove_resources(context, [_raw("checkout"), "never-there"])
    )
    assert change.after == {"resources": {}}
    assert _names(context) == []


def test_another_primary_in_the_spec_is_no_move(context: Context) -> None:
    register_resources(context, [_raw()]).apply()
    _put_instance(context)
    change = register_resources(context, [_raw(primary="edge-b")])
    assert change.changed
    change.apply()
    assert context.ledger.primary("checkout") == "edge-a"
    assert context.ledger.resource("checkout").primary == "edge-b"


@pytest.mark.parametrize(
    ("raw", "error", "line"),
    [
        (
            _raw("bad", primary="egde-b"),
            UnknownNameError,
            "resource bad, primary: unknown host egde-b; did you mean edge-b?",
        ),
        (
            _raw("bad", primary="lb-1"),
            SpecError,
            (
                "resource bad, primary: lb-1 is a load balancer's host; "
                "name a host without relay: true"
            ),
        ),
        (
            _raw("bad", directors=[{"kind": "haprxy", "backend": "b"}]),
            SpecError,
            "resource bad, directors[0].kind: unknown kind haprxy; did you mean haproxy?",
        ),
        (
            _raw("bad", state=[{"kind": "files", "path": "x"}, {"kind": "profil"}]),
            SpecError,
            "resource bad, state[1].kind: unknown kind profil; did you mean profile?",
        ),
        (
            _raw("bad", metrics={"sources": [{"kind": "prometeus"}]}),
            SpecError,
            (
                "resource bad, metrics.sources[0].kind: unknown kind prometeus; "
                "did you mean prometheus?"
            ),
        ),
        (
            _raw("bad", directors=[{"kind": "haproxy", "password": "hunter2"}]),
            SpecError,
            (
                "resource bad, directors[0].password: looks like a secret, and the ledger keeps "
                "none; name the environment variable or the file that holds it instead"
            ),
        ),
        (
            _raw("bad", shadows={"candidates": {"hosts": ["edge-a", "egde-b"]}}),
            UnknownNameError,
            "resource bad, shadows.candidates.hosts: unknown host egde-b; did you mean edge-b?",
        ),
        (
            _raw("bad", placement={"anti_affinity": ["godo"]}),
            UnknownNameError,
            "resource bad, placement.anti_affinity: unknown resource godo; did you mean good?",
        ),
        (
            _raw("good"),
            SpecError,
            "resource good: is given more than once; give each name once",
        ),
        (
            _raw("bad", polcy={}),
            SpecError,
            "resource bad, polcy: unknown key; did you mean policy?",
        ),
    ],
)
def test_one_bad_resource_leaves_all_of_them_out(
    context: Context, raw: dict[str, Any], error: type[ForeshadowError], line: str
) -> None:
    with pytest.raises(error) as caught:
        register_resources(context, [_raw("good"), raw])
    assert str(caught.value) == line
    assert _names(context) == []


def test_hosts_are_registered_and_described_anew(context: Context) -> None:
    raw = {"name": "edge-d", "address": "127.0.0.4", "capacity": {"memory": "1GiB"}}
    change = _in_check_mode_then_twice(lambda: register_hosts(context, [raw]))
    assert change.before == {"hosts": {}}
    assert change.preview["hosts"][0]["capacity"]["memory"] == 2**30
    moved = _in_check_mode_then_twice(
        lambda: register_hosts(context, [raw | {"address": "127.0.0.5"}])
    )
    assert moved.before["hosts"]["edge-d"]["address"] == "127.0.0.4"
    assert context.ledger.host("edge-d").address == "127.0.0.5"


def test_a_host_of_an_unknown_driver_or_given_twice_is_refused(context: Context) -> None:
    raw = {"name": "edge-d", "address": "127.0.0.4"}
    with pytest.raises(SpecError, match=r"host edge-d, driver: unknown kind agnt; did you mean ag"):
        register_hosts(context, [raw | {"driver": "agnt"}])
    with pytest.raises(SpecError, match="host edge-d: is given more than once"):
        register_hosts(context, [raw, raw])
    assert len(context.ledger.hosts()) == 4


def test_a_host_goes_when_nothing_is_on_it(context: Context) -> None:
    register_resources(context, [_raw()]).apply()
    _put_instance(context)
    _put_instance(context, "edge-b", Role.SHADOW)
    with pytest.raises(RefusedError, match="host edge-b: still carries instances of checkout"):
        remove_hosts(context, ["edge-b", "edge-c"])
    context.ledger.remove_instance("checkout", "edge-b")
    change = _in_check_mode_then_twice(lambda: remove_hosts(context, ["edge-b", "edge-z"]))
    assert list(change.before["hosts"]) == ["edge-b"]
    assert [host.name for host in context.ledger.hosts()] == ["edge-a", "edge-c", "lb-1"]


def test_what_is_removed_needs_a_name(context: Context) -> None:
    with pytest.raises(SpecError, match="host: has no name; add its name"):
        remove_hosts(context, [{"address": "127.0.0.1"}])
    with pytest.raises(SpecError, match="resource: a resource must be a mapping"):
        remove_resources(context, [7])  # type: ignore[list-item]
