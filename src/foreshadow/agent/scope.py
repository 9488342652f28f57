"""What an instance is started with: placeholders filled in, its environment, its user."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreshadow.agent.home import AgentHome
from foreshadow.agent.processes import MARKER
from foreshadow.agent.records import Record
from foreshadow.domain.errors import SpecError

_PLACEHOLDER = re.compile(r"\{(address|port|state|host)\}")


@dataclass(frozen=True, slots=True)
class Account:
    """A user other than the agent's, as whom a service runs."""

    name: str
    user: int
    group: int
    home: str

    def popen(self) -> dict[str, Any]:
        """Return what makes a child run as this user."""
        groups = os.getgrouplist(self.name, self.group)
        return {"user": self.user, "group": self.group, "extra_groups": groups}


@dataclass(frozen=True, slots=True)
class Scope:
    """The values that stand for this instance on this host."""

    record: Record
    home: AgentHome

    @property
    def where(self) -> str:
        """The instance, as errors name it."""
        return f"resource {self.record.resource} on host {self.home.host}"

    def values(self) -> dict[str, str]:
        """Return the value of each placeholder."""
        return {
            "address": self.home.address,
            "port": str(self.record.spec.service.port),
            "state": str(self.record.live),
            "host": self.home.host,
        }

    def fill(self, text: str) -> str:
        """Return a text with its placeholders filled in; other braces stay."""
        values = self.values()
        return _PLACEHOLDER.sub(lambda match: values[match[1]], text)

    def fill_all(self, texts: tuple[str, ...]) -> list[str]:
        """Return each text with its placeholders filled in."""
        return [self.fill(text) for text in texts]

    def environment(self) -> dict[str, str]:
        """Return what the service and its hooks find in their environment.

        The agent's own ``FORESHADOW_`` variables stay its own: they may name the ledger.
        """
        own = {k: v for k, v in os.environ.items() if not k.startswith("FORESHADOW_")}
        account = self.account()
        if account is not None:
            own |= {"HOME": account.home, "USER": account.name, "LOGNAME": account.name}
        asked = {k: self.fill(v) for k, v in self.record.spec.service.environment.items()}
        limits = self.record.capacity.limits()
        capacity = {f"FORESHADOW_CAPACITY_{k.upper()}": f"{v:.15g}" for k, v in limits.items()}
        return own | asked | capacity | self.whose()

    def popen(self) -> dict[str, Any]:
        """Return the arguments of ``subprocess.Popen`` with which a hook runs.

        :raises SpecError: when the agent may not become the service's user.
        """
        account = self.account()
        return {
            "env": self.environment(),
            "cwd": self.record.layout.folder,
            "start_new_session": True,
            **(account.popen() if account is not None else {}),
        }

    def whose(self) -> dict[str, str]:
        """Return the part of the environment that tells whose instance it is."""
        return {
            "FORESHADOW_HOST": self.home.host,
            "FORESHADOW_RESOURCE": self.record.resource,
            "FORESHADOW_STATE": str(self.record.live),
        }

    def marked_environment(self) -> Mapping[str, str]:
        """Return the environment of the instance's own processes."""
        return {**self.environment(), MARKER: self.record.marker}

    def account(self) -> Account | None:
        """Return the user to run as, or ``None`` for the agent's own.

        :raises SpecError: when there is no such user, or the agent may not become it.
        """
        name = self.record.spec.service.user
        if name is None:
            return None
        place = f"{self.where}, service.user"
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise SpecError(
                f"there is no user {name} on this host",
                where=place,
                remedy="create it with the deploy role, or name another",
            ) from None
        if entry.pw_uid == os.geteuid():
            return None
        if os.geteuid() != 0:
            raise SpecError(
                f"the agent is not root, so it cannot start a service as {name}",
                where=place,
                remedy=f"run the agent as root or as {name}, or leave user out",
            )
        return Account(name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
