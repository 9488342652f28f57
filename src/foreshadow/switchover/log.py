"""One switchover's lines in the journal: each written before and after what it tells.

While requests are held, nothing waits for the ledger but the commit. That the held steps begin is
written before the first of them, and undoing one that never began does no harm; that they are done
is written in the transaction of the commit. A controller that dies in between leaves them begun,
as one that dies right before it writes always does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from foreshadow.domain.clock import WallClock
from foreshadow.domain.errors import FencedError, ForeshadowError, LedgerError
from foreshadow.domain.moves import Convergence, StepRecord, StepState, Switchover
from foreshadow.ledger import Ledger
from foreshadow.switchover.keeper import LeaseKeeper
from foreshadow.switchover.plan import COMMIT, DELIVER, held_steps


@dataclass(slots=True)
class Note:
    """What there is to say about a step while it is taken."""

    detail: str = ""
    convergence: tuple[Convergence, ...] = ()


class Log:
    """Writes the journal of one switchover, and remembers what it wrote."""

    def __init__(
        self, ledger: Ledger, keeper: LeaseKeeper, switchover: Switchover, now: WallClock
    ) -> None:
        self._ledger = ledger
        self._keeper = keeper
        self._id = switchover.id
        self._now = now
        self._records = {record.name: record for record in switchover.steps}
        self._held = held_steps(switchover.plan)
        self._begun: set[str] = set()
        self._unwritten: list[str] | None = None

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """Return the lines in the order in which the steps were first taken."""
        return tuple(self._records.values())

    def state(self, name: str) -> StepState | None:
        """Return where a step stands; ``None`` when it was never begun."""
        record = self._records.get(name)
        return None if record is None else record.state

    @contextlib.contextmanager
    def taking(self, name: str) -> Iterator[Note]:
        """Write that a step begins; then that it is done, or that it failed, and why."""
        self._begin(name)
        note = Note()
        try:
            yield note
        except FencedError:
            raise
        except Exception as error:
            self._unwritten = None
            # The error is what matters; a ledger that is away as well must not hide it.
            with contextlib.suppress(LedgerError):
                self._close(name, StepState.FAILED, _said(error), note.convergence)
            raise
        self._close(name, StepState.DONE, note.detail, note.convergence)

    @contextlib.contextmanager
    def undoing(self, name: str) -> Iterator[Note]:
        """Write that a step is being undone; then that it is, or why it is still to do.

        What was said about the step before, such as its error, is kept.
        """
        self._unwritten = None
        before = self._records[name]
        self._write(replace(before, state=StepState.UNDOING, ended_at=None))
        note = Note()
        try:
            yield note
        except FencedError:
            raise
        except Exception as error:
            with contextlib.suppress(LedgerError):
                self._close(name, StepState.UNDOING, _joined(before.detail, _said(error)))
            raise
        undone = f"undone: {note.detail}" if note.detail else "undone"
        self._close(name, StepState.UNDONE, _joined(before.detail, undone))

    def pivot(self) -> None:
        """Commit in the ledger; when the answer is lost, ask it what it has.

        :raises OpenError: when it cannot say: neither way may be taken then.
        """
        lines = self._lines_of_commit()
        try:
            self._ledger.pivot(self._keeper.lease, self._id, lines)
        except FencedError:
            raise
        except Exception as error:
            try:
                pivoted = self._ledger.switchover(self._id).pivoted
            except ForeshadowError as unknown:
                raise OpenError(
                    f"whether the commit was written is unknown: {unknown.problem}",
                    where=f"switchover {self._id}",
                    remedy="both hosts serve; run recover when the ledger is back",
                ) from error
            if not pivoted:
                raise
        self._records |= {line.name: line for line in lines}
        self._begun |= {line.name for line in lines if line.state is StepState.STARTED}

    def _begin(self, name: str) -> None:
        """Write that a step begins, unless that was done ahead; its time is when it does."""
        if name in self._held and self._unwritten is None:
            self._unwritten = []
            for held in self._held[self._held.index(name) :]:
                self._write(StepRecord(held, StepState.STARTED, self._now()))
                self._begun.add(held)
        started = StepRecord(name, StepState.STARTED, self._now())
        if name in self._begun:
            self._begun.discard(name)
            self._records[name] = started
        elif name == COMMIT and self._unwritten is not None:
            self._records[name] = started
        else:
            self._write(started)

    def _lines_of_commit(self) -> list[StepRecord]:
        """Return what the commit's transaction takes along: what is done, and what begins then."""
        if self._unwritten is None:
            return []
        now = self._now()
        done = [self._records[name] for name in self._unwritten]
        committed = replace(self._records[COMMIT], state=StepState.DONE, ended_at=now)
        return [*done, committed, StepRecord(DELIVER, StepState.STARTED, now)]

    def _close(
        self,
        name: str,
        state: StepState,
        detail: str,
        convergence: tuple[Convergence, ...] | None = None,
    ) -> None:
        before = self._records[name]
        closed = replace(
            before,
            state=state,
            ended_at=self._now(),
            detail=detail,
            convergence=before.convergence if convergence is None else convergence,
        )
        if self._unwritten is None:
            self._write(closed)
        elif name == COMMIT:
            self._unwritten = None  # its transaction wrote it
        else:
            self._unwritten.append(name)
            self._records[name] = closed

    def _write(self, record: StepRecord) -> None:
        self._ledger.step(self._keeper.lease, self._id, record)
        self._records[record.name] = record


class OpenError(LedgerError):
    """Whether the commit was written is unknown: only the ledger can tell, when it is back."""


def _said(error: Exception) -> str:
    if isinstance(error, ForeshadowError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
