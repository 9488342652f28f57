"""What Terraform complains about, as one line for a person."""

from __future__ import annotations

import re

from foreshadow.domain.errors import (
    ForeshadowError,
    RefusedError,
    SpecError,
    StalePlanError,
    TerraformError,
)
from foreshadow.domain.units import format_duration
from foreshadow.terraform.process import Ended

_PAINT = re.compile(r"\x1b\[[0-9;]*m|^[╷│╵] ?", re.MULTILINE)
_PLACE = re.compile(r"^  on (\S+) line (\d+)", re.MULTILINE)
_CODE = re.compile(r"^ +(?:with|on|\d+:|│) .*$|^ +\d+:$", re.MULTILINE)
_LOCK = re.compile(r"^\s*(ID|Operation|Who|Created):\s*(\S.*?)\s*$", re.MULTILINE)
_UNREADY = re.compile(
    r"module not installed|backend initialization required|inconsistent dependency lock file"
    r"|required plugins are not installed|missing required provider|plugin did not respond"
    r"|backend configuration changed|module source has changed|module version requirements"
    r"|could not load plugin|provider.*not available",
    re.IGNORECASE,
)
_CONFIGURATION = re.compile(
    r"^(?:invalid|unsupported|missing|reference to|duplicate|argument or block|unclosed|unexpected"
    r"|no value for required variable|value for undeclared|incorrect|extra|attribute redefined"
    r"|variables not allowed|no configuration files|unreadable module|cycle|given variables file"
    r"|failed to read variables|self-referential|call to)",
    re.IGNORECASE,
)
_LONGEST = 300


def complaint(ended: Ended, where: str, folder: str, words: str, seconds: float) -> ForeshadowError:
    """Return the error for a command that did not end well.

    :param where: the thing it is about, such as ``terraform project /srv/pool``.
    :param folder: of the project, for the commands that are the way out.
    :param words: the command, such as ``apply``.
    :param seconds: that it was given.
    """
    chdir = f"terraform -chdir={folder}"
    if ended.late:
        left = f"release what it left with {chdir} force-unlock" if ended.killed else ""
        return TerraformError(
            f"terraform {words} took longer than {format_duration(seconds)} and was "
            + ("killed, as it did not end when interrupted" if ended.killed else "interrupted"),
            where=where,
            remedy=left or f"see what it waits for with {chdir} plan, or give it more time",
        )
    text = _PAINT.sub("", ended.err)
    # What follows the first one is often its consequence, save for a preamble of init.
    reports = [part.strip() for part in re.split(r"^\s*Error: ", text, flags=re.MULTILINE)[1:]]
    reports = [part for part in reports if not part.startswith("Terraform encountered problems")]
    if not reports:
        return TerraformError(
            f"terraform {words} ended with status {ended.status}"
            + (f": {_short(text)}" if text.strip() else " and said nothing"),
            where=where,
            remedy=f"try {chdir} {words}",
        )
    return _report(reports[0], where, chdir)


def _report(report: str, where: str, chdir: str) -> ForeshadowError:
    title, _, body = report.partition("\n\n")
    title = " ".join(title.split())
    if title == "Error acquiring the state lock":
        return _locked(body, where, chdir)
    if title.startswith("Saved plan is stale"):
        return StalePlanError(
            "somebody has changed its state since the plan", where=where, remedy="plan again"
        )
    if _UNREADY.search(title):
        return TerraformError(
            f"is not initialised: {title[0].lower()}{title[1:].split(', please', 1)[0]}",
            where=where,
            remedy=f"run {chdir} init",
        )
    place = _PLACE.search(report)
    at = f" ({place[1]}:{place[2]})" if place else ""
    problem = f"{title}{at}: {_detail(body)}".removesuffix(": ").rstrip(".")
    if _CONFIGURATION.search(title):
        return SpecError(problem, where=where, remedy="correct the configuration or the variables")
    return TerraformError(problem, where=where)


def _locked(body: str, where: str, chdir: str) -> RefusedError:
    told = dict(_LOCK.findall(body))
    who = told.get("Who", "somebody who left no name")
    doing = told.get("Operation", "").removeprefix("OperationType").lower()
    since = told.get("Created", "").split(".")[0]
    return RefusedError(
        f"its state is locked by {who}"
        + (f" for {doing}" if doing else "")
        + (f" since {since} UTC" if since else ""),
        where=where,
        remedy=f"wait for that to end, or when nothing runs any more: {chdir} force-unlock "
        + told.get("ID", "LOCK_ID"),
    )


def _detail(body: str) -> str:
    """Return the sentence that says most: the last words of a program, else the explanation."""
    _, output, said = body.partition("Output: ")
    if output and said.strip():
        # Terraform wraps lines, so the last one alone may be the end of a word's path.
        return _short(" ".join(said.split()).rpartition("foreshadow: ")[2])
    return _short(_CODE.sub("", body))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
