"""Writing the report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foreshadow.domain.change import Change
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import ForeshadowError, SpecError, UnknownNameError
from foreshadow.domain.spec import ResourceSpec
from foreshadow.operations.context import Context
from foreshadow.operations.instants import instant
from foreshadow.operations.trajectories import trajectories
from foreshadow.report.clients import read_clients
from foreshadow.report.digest import digest, digest_of
from foreshadow.report.facts import Facts, ResourceFacts

RECENT = 200
"""How many decisions, switchovers and outcomes of a resource are read at most."""


def render_report(
    context: Context,
    dest: str | os.PathLike[str],
    resources: Sequence[str] | None = None,
    since: object = None,
    clients: str | os.PathLike[str] | None = None,
) -> Change:
    """Write the report as one self-contained HTML page.

    A page that would differ only in its time stamp, and in the ages that follow from it, is not
    written again. The result has ``report_file``.

    :param dest: the file; its folder must exist.
    :param resources: names; ``None`` or empty means all.
    :param since: leaves out decisions, switchovers and outcomes before this wall time.
    :param clients: a file of what clients saw, as :mod:`foreshadow.report.clients` describes it.
    :raises SpecError: when the folder is not there, or ``since`` or ``clients`` cannot be read.
    :raises UnknownNameError: when a resource is not registered.
    """
    path = Path(dest).expanduser()
    if not path.parent.is_dir():
        raise SpecError(
            f"there is no folder {path.parent}", where="report, dest", remedy="create it"
        )
    if path.is_dir():
        raise SpecError(f"{path} is a folder", where="report, dest", remedy="name a file in it")
    start = instant(since, "report, since")
    facts = Facts(
        generated=context.now(),
        version=version("ansible-foreshadow"),
        resources=tuple(
            _facts_of(context, spec, start) for spec in context.ledger.resources(resources or None)
        ),
        control=context.ledger.control(),
        clients=None if clients is None else read_clients(Path(clients).expanduser()),
    )
    result = {"report_file": str(path)}
    return Change(
        before={**result, "digest": _written(path)},
        after={**result, "digest": digest(facts)},
        preview=result,
        perform=lambda: _write(path, facts, result),
    )


def _facts_of(context: Context, spec: ResourceSpec, since: WallTime | None) -> ResourceFacts:
    ledger, name = context.ledger, spec.name
    facts = ResourceFacts(
        spec=spec,
        primary=ledger.primary(name),
        instances=ledger.instances(name),
        decisions=ledger.decisions(name, since, RECENT),
        switchovers=ledger.switchovers(name, since, RECENT),
        acknowledgements=ledger.acknowledgements(name),
        outcomes=ledger.outcomes(name, since, RECENT),
        placement=ledger.placement(name),
    )
    told = _told_decision(context, facts)
    seen = () if told is None else trajectories(context, name, told["id"])
    return replace(facts, told_decision=told, trajectories=seen)


def _told_decision(context: Context, facts: ResourceFacts) -> Mapping[str, Any] | None:
    """Return the decision behind the switchover that is told about, else the newest one."""
    move = facts.told_move
    if move is None or move.decision_id is None:
        return next(iter(facts.decisions), None)
    try:
        return context.ledger.decision(move.decision_id)
    except UnknownNameError:
        return None  # older than the ledger keeps decisions


def _written(path: Path) -> str | None:
    """Return the digest of the page that is there, or ``None``."""
    try:
        return digest_of(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _write(path: Path, facts: Facts, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the page beside its place and move it there, so that nobody reads half of it."""
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise ForeshadowError(
                f"{package} is not installed",
                where="report",
                remedy="install ansible-foreshadow[report]",
            )
    from foreshadow.report.page import render

    page = render(facts)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                os.fchmod(handle, 0o644)
                file.write(page)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SpecError(
            f"cannot be written: {error.strerror}",
            where=f"report {path}",
            remedy="name a file that this user may write",
        ) from None
    return result
