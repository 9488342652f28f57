"""What all parts of one agent share: who it is, where it keeps things, and what time it is."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from weakref import WeakValueDictionary

from foreshadow.agent.fences import Fences
from foreshadow.agent.prepared import Copies
from foreshadow.agent.records import Records
from foreshadow.agent.sources import Sources
from foreshadow.agent.store import Store
from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import AccessError, RefusedError
from foreshadow.wire.clock import system_time
from foreshadow.wire.credentials import Credentials


class AgentHome:
    """One agent's name, folder, records and fencing tokens; the folder is its own while it runs.

    :ivar host: name of the host, as in the agent's certificate.
    :ivar address: at which instances on this host listen.
    :ivar shared_machine: other agents run on this machine: absolute state paths are refused.
    :raises RefusedError: when another agent uses the folder.
    :raises AccessError: when the folder cannot be used.
    """

    def __init__(
        self,
        host: str,
        address: str,
        state_dir: Path,
        credentials: Credentials,
        *,
        shared_machine: bool = False,
        now: WallClock = system_time,
    ) -> None:
        self.host = host
        self.address = address
        self.state_dir = state_dir.absolute()
        self.credentials = credentials
        self.shared_machine = shared_machine
        self.now = now
        resources = self.state_dir / "resources"
        try:
            resources.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                # Services that run as other users pass through, and see nothing.
                self.state_dir.chmod(0o711)
            self._lock = _lock(self.state_dir / "agent.lock")
            self.store = Store(self.state_dir / "agent.db")
        except OSError as error:
            raise AccessError(
                f"cannot be used: {(error.strerror or str(error)).lower()}",
                where=f"state folder {self.state_dir}",
                remedy="give --state-dir a folder that the agent's user may write to",
            ) from None
        self.fences = Fences(host, self.store)
        self.sources = Sources(host, self.store)
        self.instances = Records(host, resources, self.store)
        self.copies = Copies()
        self._state_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def state_lock(self, resource: str) -> asyncio.Lock:
        """Return the lock on what a shadow's state is.

        Held while the sync side works on a version, and while a promotion takes the newest: what
        clears away behind a version would else take the new primary's state for a former one's.
        """
        return self._state_locks.setdefault(resource, asyncio.Lock())

    def close(self) -> None:
        """Close the store and let the folder go."""
        self.store.close()
        os.close(self._lock)


def _lock(path: Path) -> int:
    """Take the folder for this process; the kernel lets it go when the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RefusedError(
            "another agent is using it",
            where=f"state folder {path.parent}",
            remedy="stop that agent, or give this one a --state-dir of its own",
        ) from None
    return descriptor
