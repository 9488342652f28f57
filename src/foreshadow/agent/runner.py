"""Starting, freezing, thawing and stopping the processes of an instance.

What is about to happen is written down before it does: a marker goes into the record first and
then into the environment of what is started. An agent that is killed in between finds the process
by its marker, and none is ever started twice.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import uuid

from foreshadow.agent.commands import ended, last_lines
from foreshadow.agent.home import AgentHome
from foreshadow.agent.logs import AGENT_LOG, trim
from foreshadow.agent.processes import (
    MARKER,
    Process,
    find,
    identify,
    is_alive,
    marked,
    members,
    send,
)
from foreshadow.agent.records import Record
from foreshadow.agent.scope import Scope
from foreshadow.domain.errors import ServiceError
from foreshadow.domain.fleet import RunState, launch_digest

_STEP = 0.01
_STOPPING = 0.001
_FREEZE_PASSES = 20
_KILL_SECONDS = 5.0
_DYING_SECONDS = 0.5


class Runner:
    """The processes of all instances of one agent."""

    def __init__(self, home: AgentHome) -> None:
        self._home = home
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def scope(self, record: Record) -> Scope:
        """Return the values that stand for an instance here."""
        return Scope(record, self._home)

    def state(self, record: Record) -> RunState:
        """Return what the instance does now."""
        self._reap(record.resource)
        process = None if record.process is None else find(record.process, record.sign)
        if process is not None:
            return RunState.FROZEN if process.frozen else RunState.RUNNING
        return RunState.STOPPED if record.rest is RunState.STOPPED else RunState.FAILED

    def pid(self, record: Record) -> int | None:
        """Return the pid of the instance's first process while it lives."""
        process = None if record.process is None else find(record.process, record.sign)
        return None if process is None else process.pid

    def why_failed(self, record: Record) -> str:
        """Return in words how the instance ended, with the last lines of its log."""
        child = self._children.get(record.resource)
        status = None if child is None else _status(child)
        how = "has ended" if status is None else ended(status)
        tail = last_lines(record.layout.log) if record.marker else ""
        return f"{how}; last lines of its log: {tail}" if tail else how

    def recover(self, record: Record) -> Record:
        """Return the record with the process that was started just before the agent was killed."""
        if record.process is not None or not record.marker:
            return record
        found = marked({MARKER: record.marker})
        return record if found is None else self._put(record, process=found[0])

    def orphan(self, record: Record) -> Record | None:
        """Return the record with a process of this instance whose own record was lost."""
        found = marked(self.scope(record).whose())
        if found is None:
            return None
        process, marker = found
        return record.model_copy(update={"process": process, "marker": marker})

    def start(self, record: Record) -> Record:
        """Start the service in a session of its own.

        :raises ServiceError: when the kernel refuses to run the command.
        """
        before = record
        record = self._put(
            record,
            marker=uuid.uuid4().hex,
            launched=launch_digest(record.spec.service, record.capacity),
            process=None,
            rest=RunState.RUNNING,
        )
        scope = self.scope(record)
        account = scope.account()
        self.hand_over(record)
        log = _open_log(record)
        try:
            child = subprocess.Popen(
                scope.fill_all(record.spec.service.command),
                env=scope.marked_environment(),
                cwd=record.layout.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **(account.popen() if account is not None else {}),
            )
        except OSError as error:
            self._home.instances.put(before)
            raise ServiceError(
                f"its command cannot be run: {(error.strerror or str(error)).lower()}",
                where=scope.where,
                remedy="correct the command, or the permissions of its program",
            ) from None
        finally:
            os.close(log)
        self._children[record.resource] = child
        return self._put(record, process=identify(child.pid), thawed_at=self._home.now())

    def hand_over(self, record: Record) -> None:
        """Let the service's user own the state that is live now, if it is another than ours."""
        account = self.scope(record).account()
        if account is not None:
            record.layout.give_to(account.user, account.group)

    def thaw(self, record: Record) -> Record:
        """Let a frozen instance run on; for one that was never frozen, only note the time."""
        if record.rest is not RunState.RUNNING:
            self._signal(record, signal.SIGCONT)
        return self._note(record, rest=RunState.RUNNING, thawed_at=self._home.now())

    async def freeze(self, record: Record) -> Record:
        """Stop every process of the instance where it is.

        :raises ServiceError: when it makes processes faster than they can be stopped.
        """
        record = self._note(record, rest=RunState.FROZEN)
        for _ in range(_FREEZE_PASSES):
            running = [process for process in self._members(record) if not process.frozen]
            if not running:
                return record
            for process in running:
                send(process, signal.SIGSTOP)
            await asyncio.sleep(_STOPPING)
        raise ServiceError(
            "cannot be frozen: it keeps making new processes",
            where=self.scope(record).where,
            remedy="use the shadow mode hot for it",
        )

    async def stop(self, record: Record) -> Record:
        """End every process of the instance: gently, and after ``stop_timeout`` not.

        :raises ServiceError: when something of it cannot be ended.
        """
        record = self._put(record, rest=RunState.STOPPED)
        # A frozen process gets its SIGTERM only once it runs.
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._signal(record, number)
        gently = await self._gone(record, record.spec.service.stop_timeout)
        if not gently and not await self._gone(record, _KILL_SECONDS, kill=True):
            left = ", ".join(str(process.pid) for process in self._members(record))
            raise ServiceError(
                f"cannot be ended: pid {left} survives SIGKILL",
                where=self.scope(record).where,
                remedy="look at what it waits for on that host",
            )
        self._reap(record.resource)
        self._children.pop(record.resource, None)
        return self._put(record, process=None, marker="", launched="")

    def trim_logs(self) -> None:
        """Begin logs anew that have grown long, the agent's own too."""
        for log in (
            self._home.state_dir / AGENT_LOG,
            *(record.layout.log for record in self._home.instances.all()),
        ):
            trim(log)

    async def _gone(self, record: Record, seconds: float, *, kill: bool = False) -> bool:
        """Wait until no process of the instance is left; return whether that came true."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        left = self._members(record)
        while True:
            self._reap(record.resource)
            # The whole table is read again only when all that was seen is gone.
            left = [process for process in left if is_alive(process)] or self._members(record)
            if not left or loop.time() >= deadline:
                return not left
            for process in left if kill else ():
                send(process, signal.SIGKILL)
            await asyncio.sleep(_STEP)

    def _members(self, record: Record) -> list[Process]:
        return members(record.process, record.sign)

    def _signal(self, record: Record, number: signal.Signals) -> None:
        for process in self._members(record):
            send(process, number)

    def _reap(self, resource: str) -> None:
        child = self._children.get(resource)
        if child is not None:
            child.poll()

    def _note(self, record: Record, **changes: object) -> Record:
        """Write down what matters only as long as the processes live."""
        return self._home.instances.put(record.model_copy(update=changes), durable=False)

    def _put(self, record: Record, **changes: object) -> Record:
        return self._home.instances.put(record.model_copy(update=changes))


def _status(child: subprocess.Popen[bytes]) -> int | None:
    """Return the exit status of a child that is seen no longer, or ``None`` when it lives on."""
    try:
        # The kernel takes a dying process's environment and files away before it has a status.
        return child.wait(_DYING_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _open_log(record: Record) -> int:
    """Return a descriptor to write the service's log to; that of the run before is kept aside."""
    log = record.layout.log
    if log.exists():
        log.replace(record.layout.old_log)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(log, flags, 0o640)
