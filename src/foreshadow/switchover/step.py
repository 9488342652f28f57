"""What a step is: a small class that does one thing, proves it, and may take it back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from foreshadow.domain.moves import Convergence
from foreshadow.switchover.stage import Stage


class Step(ABC):
    """One line of the plan. Every method may be called again after a crash, at any point of it.

    :ivar resting: it only puts a host to rest, or sets its state sync: traffic does not depend on
        it. Where the host is gone for good, the switchover can end without it.
    :ivar convergence: what it found out about who has followed, kept in the journal.
    :ivar needs: names of steps that must have been done before it, when it comes after the pivot.
    """

    name: str
    resting: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    convergence: tuple[Convergence, ...] = ()

    @abstractmethod
    def do(self, stage: Stage) -> str:
        """Do it, and return one line about what was done or seen, or nothing."""

    def verify(self, stage: Stage) -> None:  # noqa: B027 most steps need none
        """Prove that it is so; by default the call itself is the proof.

        :raises ForeshadowError: when it is not.
        """

    def deadline(self, stage: Stage) -> float:
        """Return the seconds for which doing it is tried."""
        return 10.0


class Undoable(Step):
    """A step before the pivot."""

    def undo(self, stage: Stage) -> str:
        """Take it back, however far it had come; by default there is nothing to take back."""
        return ""

    def undo_deadline(self, stage: Stage) -> float:
        """Return the seconds for which undoing it is tried."""
        return 10.0
