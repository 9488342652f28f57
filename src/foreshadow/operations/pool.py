"""Creating, growing, mending and destroying a pool of hosts that Terraform owns.

Terraform does not see that a process has died: nothing of its configuration has changed. So the
agents of the pool are asked, each by its identity and not by an open port, and what starts one
that does not answer is made anew.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.errors import ServiceError, UnreachableError
from foreshadow.domain.fleet import Host
from foreshadow.operations.pool_hosts import OUTPUT, PoolHost, shape_hosts
from foreshadow.terraform import Plan, Project, Snapshot
from foreshadow.wire.client import AgentClient
from foreshadow.wire.credentials import Credentials
from foreshadow.wire.gen.agent_pb2 import DescribeRequest

_POLL_SECONDS = 0.2
_CALL_SECONDS = 3.0
_DONE = {"create": "created", "update": "updated", "replace": "replaced"}

Probe = Callable[[Host], bool]
"""Tells whether the agent of a host answers, and is that of this host."""


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """What is asked of a pool.

    :ivar destroy: end all of it instead.
    :ivar credentials: with which agents are asked; without them none is.
    :ivar wait: seconds that the agents of new hosts have until they answer.
    """

    project: Project
    output: str = OUTPUT
    query: str | None = None
    destroy: bool = False
    credentials: Credentials | None = field(default=None, repr=False)
    wait: float = 60.0


@contextmanager
def planned_pool(
    request: PoolRequest, *, check: bool = False, probe: Probe | None = None
) -> Iterator[Change]:
    """Plan a pool; the change can be applied for as long as the block lasts.

    The result has ``hosts``: those of the pool afterwards; a preview has those of before.

    :param check: leave nothing behind in the project, for a change that is not applied.
    :param probe: asks an agent; by default with the credentials of the request.
    :raises ForeshadowError: in one line.
    """
    asked = probe if probe is not None else _probe_with(request.credentials)
    with _prepared(request.project, check=check) as project:
        project.initialise()
        snapshot = _snapshot(project)
        hosts = _hosts(request, snapshot)
        silent = () if request.destroy else _silent(hosts, asked)
        starters = _starters(snapshot, silent)
        with project.plan(destroy=request.destroy, replace=starters) as plan:
            yield _change(request, project, plan, hosts, asked)


@contextmanager
def _prepared(project: Project, *, check: bool) -> Iterator[Project]:
    if not check:
        yield project
        return
    # `init` writes into two places: its data folder, and the lock of the providers' versions.
    lock = project.folder / ".terraform.lock.hcl"
    locked = lock.exists()
    with tempfile.TemporaryDirectory(prefix="foreshadow-terraform-") as folder:
        try:
            kept = (project.folder / ".terraform").exists()
            yield project if kept else replace(project, data_dir=Path(folder))
        finally:
            if not locked:
                lock.unlink(missing_ok=True)


def _snapshot(project: Project) -> Snapshot:
    """Read the state; a workspace that is yet to be made is empty."""
    if project.workspace and project.workspace not in project.workspaces():
        return Snapshot({}, ())
    return project.snapshot()


def _change(
    request: PoolRequest, project: Project, plan: Plan, hosts: Sequence[PoolHost],
    probe: Probe | None,
) -> Change:  # fmt: skip
    difference = plan.difference
    named = {
        **difference.resources,
        **{f"output.{name}": action for name, action in difference.outputs.items()},
    }

    def perform() -> dict[str, Any]:
        project.apply(plan)
        made = _hosts(request, _snapshot(project))
        if probe is not None and not request.destroy:
            _await(made, probe, request.wait)
        return _result(made)

    return Change(
        before={name: "is there" for name, action in named.items() if action != "create"},
        after={name: _DONE[action] for name, action in named.items() if action in _DONE},
        preview=_result(hosts),
        perform=perform,
    )


def _hosts(request: PoolRequest, snapshot: Snapshot) -> tuple[PoolHost, ...]:
    # A failed apply may have left other outputs, and not yet this one.
    if request.output and request.output not in snapshot.outputs:
        return ()
    where = f"terraform project {request.project.folder}"
    return shape_hosts(snapshot, where, request.output, request.query)


def _result(hosts: Sequence[PoolHost]) -> dict[str, Any]:
    return {"hosts": [{"name": host.name, **host.given} for host in hosts]}


def _silent(hosts: Sequence[PoolHost], probe: Probe | None) -> tuple[str, ...]:
    if probe is None:
        return ()
    return tuple(each.name for each in hosts if not probe(each.host))


def _starters(snapshot: Snapshot, names: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of what starts the agents of these hosts.

    It is what a module keeps under ``terraform_data.agent`` by the name of the host. A pool of
    another kind, such as one in a cloud, has none: its hosts start their agents themselves.
    """
    return tuple(
        each.address
        for each in snapshot.resources
        if (each.type, each.name) == ("terraform_data", "agent") and each.index in names
    )


def _await(hosts: Sequence[PoolHost], probe: Probe, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while silent := _silent(hosts, probe):
        if time.monotonic() > deadline:
            raise ServiceError(
                f"does not answer {seconds:g} s after the apply",
                where=f"agent of host {', '.join(silent)}",
                remedy="see its log, and whether its address can be reached from here",
            )
        time.sleep(_POLL_SECONDS)


def _probe_with(credentials: Credentials | None) -> Probe | None:
    if credentials is None:
        return None

    def probe(host: Host) -> bool:
        # The certificate that answers must bear this host's name: an open port says nothing.
        client = AgentClient(host, credentials, _CALL_SECONDS)
        try:
            client.call(client.agent.Describe, DescribeRequest())
        except UnreachableError:
            return False
        finally:
            client.close()
        return True

    return probe
