"""The hosts in the outputs of a Terraform project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from foreshadow.domain.errors import SpecError
from foreshadow.domain.fleet import Host, parse_host
from foreshadow.domain.near import unknown
from foreshadow.terraform import Project, Snapshot, read_state_file

OUTPUT = "foreshadow_hosts"
"""The output that a module for host pools gives."""

_OWN = frozenset({"groups", "vars"})
_KNOWN = frozenset(Host.model_fields) - _OWN


@dataclass(frozen=True, slots=True)
class PoolHost:
    """A host of a pool.

    :ivar host: as the ledger would register it.
    :ivar given: the keys of it that were given, and any others, such as the ids of a cloud.
    :ivar groups: names of inventory groups.
    :ivar variables: inventory variables, by their full names.
    """

    host: Host
    given: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return its name."""
        return self.host.name

    def inventory(self) -> dict[str, Any]:
        """Return the variables that an inventory gives it."""
        own = {f"foreshadow_{key}": value for key, value in self.given.items() if key != "name"}
        return {**own, **self.variables}


@dataclass(frozen=True, slots=True)
class PoolSource:
    """Where the hosts of a pool are told.

    :ivar projects: folders, each read in each of the workspaces.
    :ivar state_files: saved states, read besides.
    :ivar workspaces: empty for the one that is selected.
    :ivar output: name of the output with the hosts; empty for a mapping of all outputs.
    :ivar query: JMESPath, which makes a list of hosts of that.
    :ivar seconds: that one call of Terraform may take.
    """

    projects: Sequence[Path] = ()
    state_files: Sequence[Path] = ()
    workspaces: Sequence[str] = ()
    output: str = OUTPUT
    query: str | None = None
    program: str = "terraform"
    seconds: float | None = None


def read_pool(source: PoolSource) -> tuple[PoolHost, ...]:
    """Read the hosts of every project and state, in the order in which they are told.

    A project without that output is an error when it has others; one that has none at all, as
    before its first apply and after its end, has no hosts.

    :raises ForeshadowError: in one line, with the project.
    """
    hosts: dict[str, PoolHost] = {}
    for where, snapshot in _snapshots(source):
        for host in shape_hosts(snapshot, where, source.output, source.query):
            if host.name in hosts:
                raise SpecError(
                    f"host {host.name} is in another project or workspace too",
                    where=where,
                    remedy="give each host of a fleet a name of its own",
                )
            hosts[host.name] = host
    return tuple(hosts.values())


def _snapshots(source: PoolSource) -> list[tuple[str, Snapshot]]:
    found = []
    for folder in source.projects:
        for workspace in source.workspaces or ("",):
            project = Project(folder, workspace, program=source.program, seconds=source.seconds)
            where = f"terraform project {folder}" + (f", {workspace}" if workspace else "")
            found.append((where, project.snapshot()))
    for file in source.state_files:
        snapshot = read_state_file(file, program=source.program, seconds=source.seconds)
        found.append((f"terraform state {file}", snapshot))
    return found


def shape_hosts(
    snapshot: Snapshot, where: str, output: str = OUTPUT, query: str | None = None
) -> tuple[PoolHost, ...]:
    """Return the hosts that the outputs of one state tell.

    :param where: the project or state, for errors.
    :param output: empty for a mapping of all outputs that are not sensitive.
    :param query: JMESPath, applied to the output.
    :raises SpecError: when they are not a list of hosts.
    """
    if not snapshot.outputs:
        return ()
    place = f"{where}, output {output}" if output else f"{where}, outputs"
    rows = _queried(_document(snapshot, where, output), query, place)
    if not isinstance(rows, list):
        raise SpecError(
            f"{'the query makes' if query else 'it is'} no list of hosts",
            where=place,
            remedy="write a query that makes a list of mappings with name and address",
        )
    return tuple(_host(row, f"{place}[{i}]") for i, row in enumerate(rows))


def _document(snapshot: Snapshot, where: str, output: str) -> Any:
    if not output:
        return {name: each.value for name, each in snapshot.outputs.items() if not each.sensitive}
    if output not in snapshot.outputs:
        raise unknown("output", output, snapshot.outputs, where=where)
    if snapshot.outputs[output].sensitive:
        raise SpecError(
            "is sensitive, and an inventory is no place for secrets",
            where=f"{where}, output {output}",
            remedy="put the hosts into an output of their own, without sensitive values",
        )
    return snapshot.outputs[output].value


def _queried(document: Any, query: str | None, place: str) -> Any:
    if not query:
        return document
    try:
        return jmespath.search(query, document)
    except JMESPathError as error:
        raise SpecError(
            f"JMESPath cannot answer the query: {' '.join(str(error).split())}",
            where=place,
            remedy="correct the query",
        ) from None


def _host(row: object, place: str) -> PoolHost:
    if not isinstance(row, Mapping):
        raise SpecError(
            "is no mapping", where=place, remedy="make it a mapping with name and address"
        )
    # Terraform gives every key of an object; one that was not set is null.
    given = {str(key): value for key, value in row.items() if value is not None}
    groups, variables = given.pop("groups", ()), given.pop("vars", {})
    if not isinstance(groups, list | tuple) or not isinstance(variables, Mapping):
        raise SpecError(
            "has groups that are no list, or vars that are no mapping",
            where=place,
            remedy="write groups as a list of names and vars as a mapping",
        )
    if isinstance(given.get("capacity"), Mapping):
        given["capacity"] = {k: v for k, v in given["capacity"].items() if v is not None}
    try:
        host = parse_host({key: value for key, value in given.items() if key in _KNOWN})
    except SpecError as error:
        raise SpecError(
            error.problem, where=f"{place}, {error.where}", remedy=error.remedy
        ) from None
    return PoolHost(host, given, tuple(map(str, groups)), dict(variables))
