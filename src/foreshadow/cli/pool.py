"""``foreshadow pool``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foreshadow.domain.errors import SpecError


def apply(options: argparse.Namespace) -> None:
    """Make the pool be as its project says."""
    _change(options, destroy=False)


def destroy(options: argparse.Namespace) -> None:
    """End every host of the pool."""
    _change(options, destroy=True)


def show(options: argparse.Namespace) -> None:
    """Tell the hosts of the pool."""
    from foreshadow.operations.pool_hosts import PoolSource, read_pool

    workspaces = (options.workspace,) if options.workspace else ()
    source = PoolSource(
        projects=(options.project.absolute(),),
        workspaces=workspaces,
        output=options.output,
        query=options.query,
        program=options.terraform,
        seconds=options.timeout,
    )
    hosts = [{"name": host.name, **host.given} for host in read_pool(source)]
    if options.json:
        print(json.dumps({"hosts": hosts}))
        return
    for host in hosts:
        print(host["name"], host["address"])


def _change(options: argparse.Namespace, *, destroy: bool) -> None:
    # Loaded here, so that the other commands start without it.
    from foreshadow.operations.context import Connection
    from foreshadow.operations.pool import PoolRequest, planned_pool
    from foreshadow.terraform import Project

    project = Project(
        options.project.absolute(),
        options.workspace,
        variables=_variables(options.variables),
        var_files=[path.absolute() for path in options.var_file],
        program=options.terraform,
        seconds=options.timeout,
        change_seconds=options.timeout,
        lock_seconds=options.lock_timeout,
    )
    credentials = Connection(None, options.ca, options.cert, options.key).credentials()
    request = PoolRequest(
        project, options.output, options.query, destroy, credentials, options.wait
    )
    with planned_pool(request, check=options.check) as change:
        result = change.preview if options.check else change.apply()
        told = {"changed": change.changed, "diff": change.diff, **result}
    if options.json:
        print(json.dumps(told))
        return
    for line in _lines(told):
        print(line)


def _lines(told: Mapping[str, Any]) -> list[str]:
    before, after = told["diff"]["before"], told["diff"]["after"]
    lines = [f"{name}: {after.get(name, 'removed')}" for name in sorted({*before, *after})]
    return lines or ["unchanged"]


def _variables(source: str | None) -> Mapping[str, Any]:
    """Read the variables, without ever telling what they are."""
    if source is None:
        return {}
    where = "--variables"
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SpecError(
            f"{source} cannot be read", where=where, remedy="name a file with a JSON object"
        ) from None
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise SpecError("is no JSON object", where=where, remedy='write {"name": value}')
    return read
