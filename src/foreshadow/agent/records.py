"""What the agent remembers about an instance, written before it acts."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from foreshadow.agent.layout import Layout
from foreshadow.agent.processes import Identity, Sign
from foreshadow.agent.store import Store
from foreshadow.domain.errors import SpecError, UnknownNameError
from foreshadow.domain.fleet import Capacity, Role, RunState, launch_digest
from foreshadow.domain.spec import Mode, ResourceSpec

_KIND = "instance"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Record(BaseModel):
    """One instance, as it was last meant to be.

    :ivar rest: the run state that it was last brought to.
    :ivar marker: in the environment of the process that was started, or is about to be; empty for
        one that was adopted without a restart.
    :ivar process: ``None`` when none was started, or it is not known whether one was.
    :ivar launched: digest of what the process was started with; empty when it was adopted.
    :ivar thawed_at: wall time of the last thaw or start.
    :ivar base_version: the applied version under which it last became, or ceased to be, the
        primary: while it is still the current one, what the primary wrote is newer.
    """

    model_config = ConfigDict(frozen=True)

    spec: ResourceSpec
    capacity: Capacity = Capacity()
    role: Role
    mode: Mode
    rest: RunState = RunState.STOPPED
    marker: str = ""
    process: Identity | None = None
    launched: str = ""
    thawed_at: float = 0.0
    base_version: int = 0
    layout: Layout

    @property
    def resource(self) -> str:
        """The name of the resource."""
        return self.spec.name

    @property
    def sign(self) -> Sign | None:
        """What its processes bear; ``None`` when they were adopted."""
        return Sign(self.marker, self.layout.folder) if self.marker else None

    @property
    def outdated(self) -> bool:
        """Whether its process was started with something that the spec no longer says."""
        wanted = launch_digest(self.spec.service, self.capacity)
        return self.launched not in ("", wanted)

    @property
    def superseded(self) -> bool:
        """Whether a version was applied since it last was the primary."""
        return self.layout.version() != self.base_version

    @property
    def versions(self) -> Path:
        """The folder of applied versions."""
        return self.layout.versions

    @property
    def current(self) -> Path:
        """The link to the newest applied version."""
        return self.layout.current

    @property
    def live(self) -> Path:
        """The link that ``{state}`` stands for."""
        return self.layout.live


class Records:
    """The records of one agent.

    :param folder: in which each resource has its own, ``{state_dir}/resources``.
    :param store: nobody else writes records to it, so each is read and checked once.
    """

    def __init__(self, host: str, folder: Path, store: Store) -> None:
        self._host = host
        self._folder = folder
        self._store = store
        self._known: dict[str, Record] = {}

    def layout(self, resource: str) -> Layout:
        """Return the paths of a resource.

        :raises SpecError: when the name could lead out of the agent's folder.
        """
        if not _NAME.fullmatch(resource):
            raise SpecError(
                "is not a name of a resource",
                where=repr(resource[:80]),
                remedy="use letters, digits, dots, dashes and underscores, at most 63",
            )
        return Layout(self._folder / resource)

    def get(self, resource: str) -> Record | None:
        """Return the record of a resource's instance, or ``None``."""
        if resource not in self._known:
            layout = self.layout(resource)
            body = self._store.get(_KIND, resource)
            if body is None:
                return None
            self._known[resource] = Record.model_validate({**body, "layout": layout})
        return self._known[resource]

    def need(self, resource: str) -> Record:
        """Return the record of a resource's instance.

        :raises UnknownNameError: when there is none.
        """
        record = self.get(resource)
        if record is None:
            raise UnknownNameError(
                f"has no instance of {resource}",
                where=f"host {self._host}",
                remedy="create it with the module shadow_instance",
            )
        return record

    def all(self) -> tuple[Record, ...]:
        """Return all records, by resource."""
        found = (self.get(name) for name in self._store.all(_KIND))
        return tuple(record for record in found if record is not None)

    def put(self, record: Record, *, durable: bool = True) -> Record:
        """Write a record, and return it.

        :param durable: wait for the disk; not needed for what is over anyway when the machine goes
            down, such as whether a process is frozen.
        """
        body = record.model_dump(mode="json", exclude={"layout"})
        # What is not on the disk is not known: should the write fail, it is read again.
        self._known.pop(record.resource, None)
        self._store.put(_KIND, record.resource, body, durable=durable)
        self._known[record.resource] = record
        return record

    def remove(self, resource: str) -> None:
        """Forget an instance."""
        self._known.pop(resource, None)
        self._store.remove(_KIND, resource)
