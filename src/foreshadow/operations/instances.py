"""Making instances be as asked: shadows created, moved to their mode or removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from foreshadow.domain.change import Change
from foreshadow.domain.errors import RefusedError, SpecError, UnreachableError
from foreshadow.domain.fleet import RESTING, Host, Instance, Role, RunState, launch_digest
from foreshadow.domain.problems import first_problem
from foreshadow.domain.spec import Mode, Name, ResourceSpec
from foreshadow.ledger.holder import is_dead, this_process
from foreshadow.operations.context import Context
from foreshadow.operations.unfinished import refuse_unfinished
from foreshadow.switchover.keeper import LeaseKeeper

_RESTARTABLE = (RunState.STOPPED, RunState.FAILED)


class _Asked(BaseModel):
    """One entry of what was asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resource: Name
    host: Name
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """One instance: how it is, and how it is to be.

    :ivar now: as the agent reports it; ``None`` when there is none.
    :ivar recorded: whether the ledger knows it.
    :ivar move: what has to be done.
    """

    spec: ResourceSpec
    host: Host
    mode: Mode
    role: Role
    now: Instance | None
    recorded: bool
    move: Literal["adopt", "create", "remove", "none"]

    @property
    def key(self) -> str:
        return f"{self.spec.name}@{self.host.name}"

    @property
    def outdated(self) -> bool:
        """Whether a shadow was started with what the spec no longer says."""
        wanted = launch_digest(self.spec.service, self.host.capacity)
        launched = "" if self.now is None else self.now.launched
        return self.role is Role.SHADOW and launched not in ("", wanted)

    def before(self) -> dict[str, Any] | None:
        if self.now is None or not self.recorded:
            return None
        shown = {"mode": self.now.mode.value, "role": self.now.role.value}
        shown["state"] = self.now.state.value
        return {**shown, "outdated": True} if self.outdated else shown

    def after(self) -> dict[str, Any] | None:
        if self.move == "none":
            return self.before()
        if self.move == "remove":
            return None
        state = RunState.RUNNING if self.role is Role.PRIMARY else RESTING[self.mode]
        return {"mode": self.mode.value, "role": self.role.value, "state": state.value}

    def preview(self) -> dict[str, Any]:
        """Return the instance as it is going to be, as far as that can be told."""
        known = {"address": self.host.address, "port": self.spec.service.port, "version": 0}
        known["release"] = self.spec.shadows.release
        now = {} if self.now is None else self.now.plain()
        names = {"resource": self.spec.name, "host": self.host.name}
        return known | now | names | (self.after() or {})


def ensure_instances(
    context: Context, wanted: Sequence[Mapping[str, Any]], present: bool = True
) -> Change:
    """Make shadows be there in their mode, or not be there.

    The primary of each resource that is named is taken into care first, when it is not yet. An
    entry for the host of the primary itself is fulfilled by it. Removing the last instance, the
    primary, lets it go: it runs on.

    :param wanted: mappings with ``resource``, ``host`` and, if it is not the spec's, ``mode``.
    :return: ``instances``: each that was named, and the primaries of their resources.
    :raises SpecError: when an entry cannot be read, or names what is not registered.
    :raises RefusedError: while the resource is being moved, or when agent and ledger disagree.
    """
    asked = [_parse(raw) for raw in wanted]
    names = sorted({entry.resource for entry in asked})
    for name in names:
        refuse_unfinished(context, name)
    items = _present(context, asked, names) if present else _absent(context, asked)

    def perform() -> dict[str, Any]:
        made: list[dict[str, Any]] = []
        for name in names:
            made += _work(context, name, [item for item in items if item.spec.name == name])
        return {"instances": made}

    return Change(
        {"instances": _shown((item.key, item.before()) for item in items)},
        {"instances": _shown((item.key, item.after()) for item in items)},
        {"instances": [item.preview() for item in items if item.move != "remove"]},
        perform,
    )


def _parse(raw: Mapping[str, Any]) -> _Asked:
    try:
        return _Asked.model_validate({k: v for k, v in raw.items() if v is not None})
    except ValidationError as error:
        name = f"{raw.get('resource', '?')}@{raw.get('host', '?')}"
        raise first_problem(error, f"instance {name}", _Asked) from None


def _present(context: Context, asked: Iterable[_Asked], names: Iterable[str]) -> list[_Item]:
    primaries = (_primary(context, name) for name in names)
    items = {item.key: item for item in primaries if item is not None}
    for entry in asked:
        spec, host = _known(context, entry)
        if host.name == context.ledger.primary(spec.name):
            continue
        item = _item(context, spec, host, entry.mode or spec.shadows.mode, "create")
        if item.key in items:
            raise SpecError(
                "is asked for twice", where=f"instance {item.key}", remedy="name it once"
            )
        items[item.key] = item
    return list(items.values())


def _primary(context: Context, name: str) -> _Item | None:
    """Return the primary; ``None`` when it is in care, and its host does not answer just now."""
    spec = context.ledger.resource(name)
    host = context.ledger.host(context.ledger.primary(name))
    try:
        return _item(context, spec, host, spec.shadows.mode, "adopt")
    except UnreachableError:
        if _recorded(context, spec, host):
            return None
        raise


def _absent(context: Context, asked: Iterable[_Asked]) -> list[_Item]:
    items: list[_Item] = []
    for entry in asked:
        spec, host = _known(context, entry)
        items.append(_item(context, spec, host, entry.mode or spec.shadows.mode, "remove"))
    removed = {item.key for item in items}
    for item in items:
        if item.role is Role.PRIMARY and item.now is not None:
            _refuse_widow(context, item, removed)
    # The primary is let go last, so that it is never unknown what the shadows belong to.
    return sorted(items, key=lambda item: (item.role is Role.PRIMARY, item.key))


def _item(
    context: Context,
    spec: ResourceSpec,
    host: Host,
    mode: Mode,
    move: Literal["adopt", "create", "remove"],
) -> _Item:
    now = context.driver(host.name).get(spec.name)
    role = Role.PRIMARY if host.name == context.ledger.primary(spec.name) else Role.SHADOW
    _refuse_other_role(now, role)
    recorded = _recorded(context, spec, host)
    item = _Item(spec, host, mode, role, now, recorded, move)
    return item if _has_to_move(item) else _Item(spec, host, mode, role, now, recorded, "none")


def _recorded(context: Context, spec: ResourceSpec, host: Host) -> bool:
    return any(i.host == host.name for i in context.ledger.instances(resource=spec.name))


def _has_to_move(item: _Item) -> bool:
    if item.move == "remove":
        return item.now is not None or item.recorded
    if item.now is None or not item.recorded:
        return True
    if item.role is Role.PRIMARY:
        return item.now.state in _RESTARTABLE
    rests = item.now.mode is item.mode and item.now.state is RESTING[item.mode]
    return item.outdated or not rests


def _known(context: Context, entry: _Asked) -> tuple[ResourceSpec, Host]:
    spec, host = context.ledger.resource(entry.resource), context.ledger.host(entry.host)
    if host.relay:
        raise SpecError(
            "is a load balancer's host, which carries no instances",
            where=f"host {host.name}",
            remedy=f"choose another one for {spec.name}",
        )
    return spec, host


def _refuse_other_role(now: Instance | None, role: Role) -> None:
    if now is not None and now.role is not role:
        raise RefusedError(
            f"its agent has it as {now.role.value}, the ledger as {role.value}",
            where=f"instance {now.resource}@{now.host}",
            remedy="look at which of them carries the traffic, and run the module switchover",
        )


def _refuse_widow(context: Context, item: _Item, removed: set[str]) -> None:
    """Refuse to let a primary go while it still has shadows."""
    left = [i.host for i in context.ledger.instances(resource=item.spec.name)]
    left = [host for host in left if f"{item.spec.name}@{host}" not in removed]
    if left:
        raise RefusedError(
            f"is the primary, and still has shadows on {', '.join(left)}",
            where=f"instance {item.key}",
            remedy="remove those too, or switch over to one of them first",
        )


def _work(context: Context, resource: str, items: Sequence[_Item]) -> list[dict[str, Any]]:
    """Do what has to be done for one resource, under its lease; what succeeded is recorded."""
    if all(item.move == "none" for item in items):
        return [item.preview() for item in items]
    with LeaseKeeper(
        context.ledger, resource, this_process(), is_dead, context.now, context.lease_seconds
    ) as keeper:
        refuse_unfinished(context, resource)
        made = [_make(context, item, keeper.token) for item in items]
    return [instance for instance in made if instance is not None]


def _make(context: Context, item: _Item, token: int) -> dict[str, Any] | None:
    driver = context.driver(item.host.name)
    match item.move:
        case "none":
            return item.preview()
        case "remove":
            driver.remove(item.spec.name, token)
            context.ledger.remove_instance(item.spec.name, item.host.name)
            return None
        case "adopt":
            instance = driver.adopt(item.spec, token)
        case "create":
            instance = driver.create(item.spec, item.mode, token)
    context.ledger.put_instance(instance)
    return instance.plain()


def _shown(entries: Iterable[tuple[str, dict[str, Any] | None]]) -> dict[str, Any]:
    return {key: shown for key, shown in sorted(entries) if shown is not None}
