"""What ``terraform show -json`` tells, of a state and of a plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from foreshadow.domain.errors import TerraformError


@dataclass(frozen=True, slots=True)
class Output:
    """One output; a sensitive value is never shown.

    :ivar value: JSON types.
    """

    value: Any = field(repr=False)
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One managed resource.

    :ivar index: its key under ``for_each`` or ``count``, else ``None``.
    """

    address: str
    type: str
    name: str
    index: str | int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state; after a failed apply it holds what was made and the outputs that are known."""

    outputs: Mapping[str, Output]
    resources: tuple[Resource, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a plan would do; addresses and names only, since values may be secrets.

    :ivar resources: the actions of Terraform by address: ``create``, ``update``, ``replace``,
        ``delete``.
    :ivar outputs: the same by the name of an output.
    """

    resources: Mapping[str, str]
    outputs: Mapping[str, str]


def read_snapshot(text: str, where: str) -> Snapshot:
    """Read a state.

    :raises TerraformError: when it is none.
    """
    values = _document(text, where).get("values") or {}
    try:
        return Snapshot(
            {
                name: Output(output.get("value"), bool(output.get("sensitive", True)))
                for name, output in (values.get("outputs") or {}).items()
            },
            tuple(_resources(values.get("root_module") or {})),
        )
    except (AttributeError, KeyError, TypeError):
        raise _garbage(where) from None


def read_difference(text: str, where: str) -> Difference:
    """Read a plan.

    :raises TerraformError: when it is none.
    """
    document = _document(text, where)
    try:
        resources = {
            change["address"]: _action(change["change"]["actions"])
            for change in document.get("resource_changes") or ()
            if change.get("mode") == "managed"
        }
        outputs = {
            name: _action(change["actions"])
            for name, change in (document.get("output_changes") or {}).items()
        }
    except (AttributeError, KeyError, TypeError):
        raise _garbage(where) from None
    return Difference(_effective(resources), _effective(outputs))


def _document(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        raise _garbage(where) from None
    if not isinstance(document, dict) or "format_version" not in document:
        raise _garbage(where)
    return document


def _garbage(where: str) -> TerraformError:
    return TerraformError(
        "what terraform show -json says cannot be read",
        where=where,
        remedy="see whether terraform is Terraform 1.11 or newer",
    )


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for each in module.get("resources") or ():
        if each["mode"] == "managed":
            yield Resource(each["address"], each["type"], each["name"], each.get("index"))
    for child in module.get("child_modules") or ():
        yield from _resources(child)


def _action(actions: list[str]) -> str:
    return "replace" if len(actions) > 1 else actions[0]


def _effective(actions: Mapping[str, str]) -> dict[str, str]:
    return {name: each for name, each in sorted(actions.items()) if each not in ("no-op", "read")}
