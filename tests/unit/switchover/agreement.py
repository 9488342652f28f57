"""What has to be true whenever nothing is under way."""

from __future__ import annotations

from foreshadow.domain.fleet import RESTING, Role, RunState
from tests.unit.switchover.controller import Controllers
from tests.unit.switchover.world import NAME


def assert_agreement(controllers: Controllers, primary: str) -> None:
    """One primary; ledger, agents, directors and state sync all say the same."""
    world, ledger = controllers.world, controllers.ledger
    assert world.violations == []
    assert ledger.unfinished(NAME) == ()
    lease = ledger.lease(NAME)
    assert lease is None or lease.holder in controllers.dead
    assert ledger.primary(NAME) == primary
    for name, machine in world.machines.items():
        if name == primary:
            assert (machine.role, machine.state) == (Role.PRIMARY, RunState.RUNNING)
            assert set(machine.follows) == set(world.machines) - {primary}
            seen = max(world.machines[other].token for other in machine.follows)
            assert machine.sends_with >= seen, "its shadows refuse what it sends"
        else:
            assert (machine.role, machine.state) == (Role.SHADOW, RESTING[machine.mode]), name
    for instance in ledger.instances(NAME):
        machine = world.machines[instance.host]
        assert (instance.role, instance.state) == (machine.role, machine.state)
    for server in world.all_servers():
        assert server.lines[primary] == ("ready", 100)
        idle = {line for host, line in server.lines.items() if host != primary}
        assert idle == {("maint", 0)}
    if world.spec.policy.pause_writes:
        assert set(world.acknowledged) <= set(world.machines[primary].written), "a write is lost"
        assert not world.machines[primary].sealed
        world.at += world.spec.policy.pause_limit
        assert not any(server.held_until > world.at for server in world.all_servers())
