"""What is wrong with a spec on this host, found before anything is done."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import PurePosixPath

from foreshadow.agent.scope import Scope
from foreshadow.agent.sockets import listener
from foreshadow.domain.drivers import CAPTURE, load_driver
from foreshadow.domain.errors import ServiceError, SpecError


def refuse_unusable_spec(scope: Scope) -> None:
    """Refuse a spec that cannot work here.

    :raises SpecError: for a user, command or state path that cannot be used.
    """
    scope.account()
    _refuse_unknown_command(scope)
    for index, state in enumerate(scope.record.spec.state):
        load_driver(CAPTURE, state.kind)(state.options())
        path = state.options().get("path")
        if isinstance(path, str):
            _refuse_path(scope, path, f"{scope.where}, state[{index}].path")


async def refuse_taken_port(scope: Scope) -> None:
    """Refuse to start a service on a port that somebody listens on.

    :raises ServiceError: naming who does.
    """
    address, port = scope.home.address, scope.record.spec.service.port
    taken = await asyncio.to_thread(listener, address, port)
    if taken is not None:
        raise ServiceError(
            f"port {port} of {address} is taken by {taken}",
            where=scope.where,
            remedy="stop that process, or give the service another port",
        )


def _refuse_unknown_command(scope: Scope) -> None:
    program = scope.fill(scope.record.spec.service.command[0])
    path = scope.environment().get("PATH", os.defpath)
    known = shutil.which(program, path=path) is not None
    if "/" in program and not program.startswith("/"):
        problem, remedy = f"{program} is a relative path", "give its absolute path"
    elif not known and "/" in program and os.path.exists(program):  # noqa: PTH110
        problem, remedy = f"{program} is not a program that may be run", "make it executable"
    elif not known:
        problem = f"there is no command {program}"
        remedy = "install it with the deploy role, or correct the command"
    else:
        return
    raise SpecError(problem, where=f"{scope.where}, service.command", remedy=remedy)


def _refuse_path(scope: Scope, path: str, place: str) -> None:
    if ".." in PurePosixPath(path).parts:
        raise SpecError(
            f"{path} leads out of its folder", where=place, remedy="write it without .."
        )
    if path.startswith("/") and scope.home.shared_machine:
        raise SpecError(
            f"the absolute path {path} is refused, since agents share this machine",
            where=place,
            remedy="write it below {state}",
        )
