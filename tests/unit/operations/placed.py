"""An instance of the resource that the tests of operations are about."""

from __future__ import annotations

from foreshadow.domain.fleet import Instance, Role, RunState
from foreshadow.domain.spec import Mode


def placed(host: str, role: Role) -> Instance:
    """Return a primary that runs, or a warm shadow that is frozen."""
    state = RunState.RUNNING if role is Role.PRIMARY else RunState.FROZEN
    return Instance(
        resource="shop",
        host=host,
        role=role,
        mode=Mode.WARM,
        state=state,
        address="127.0.0.1",
        port=80,
    )
