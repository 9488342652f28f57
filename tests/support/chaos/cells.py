"""What is enumerated: each step of each plan, before it, done and written down; who breaks, how."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

STEPS = {
    "shift": ("preflight", "fence", "sync", "activate", "promote", "admit", "shift-50", "soak-50",
              "shift-100", "soak-100", "verify", "drain", "commit", "retire", "persist", "demote",
              "freeze", "resync"),
    "pause": ("preflight", "fence", "sync", "activate", "admit", "prepare", "handover", "promote",
              "commit", "deliver", "retire", "persist", "demote", "freeze", "resync"),
}  # fmt: skip
"""The steps by plan: the usual one shifts traffic, ``pause_writes`` hands a single writer over."""
MOMENTS = ("before", "done", "journaled")
TARGETS = ("controller", "source", "destination", "haproxy", "ledger")
FAULTS = ("kill", "stop", "reset")
TERM = "term"
"""A controller is asked to stop: it has to within :data:`STOP_SECONDS`, at a safe point."""
STOP_SECONDS = 5.0
VICTIMS = ("controller", "source", "destination", "lb-1", "lb-2", "haproxy-lb-1", "haproxy-lb-2",
           "ledger")  # fmt: skip
"""What a random strike may kill: the controller, an agent by its host, a HAProxy, the database."""
_LONGEST = 2.0
"""Seconds within which strikes fall: somewhat longer than a switchover on an idle machine."""


@dataclass(frozen=True, order=True)
class Cell:
    """One thing broken at one instruction.

    :ivar plan: ``shift`` or ``pause``.
    :ivar moment: ``before`` the step is done, ``done`` and not written down, or ``journaled``.
    """

    plan: str
    step: str
    moment: str
    target: str
    fault: str

    @classmethod
    def named(cls, text: str) -> Cell:
        """Return the cell behind ``PLAN/STEP/MOMENT/TARGET/FAULT``.

        :raises ValueError: when there is no such cell.
        """
        cell = cls(*parts) if len(parts := text.split("/")) == 5 else None
        if cell not in (*every_cell(), *every_stop()):
            raise ValueError(f"there is no cell {text}")
        assert cell is not None
        return cell

    def __str__(self) -> str:
        return f"{self.plan}/{self.step}/{self.moment}/{self.target}/{self.fault}"


@dataclass(frozen=True)
class Strike:
    """A process killed at a random time of a switchover.

    :ivar number: of the strike in its series.
    :ivar after: seconds from the beginning of the switchover.
    """

    plan: str
    seed: int
    number: int
    victim: str
    after: float

    def __str__(self) -> str:
        return f"{self.plan}/random-{self.seed}-{self.number}/{self.victim}/{self.after:.3f}"


@dataclass
class Result:
    """What came of a cell, or of a strike.

    :ivar problems: what should not be; empty when all is well.
    :ivar reached: whether the controller came to the instruction.
    :ivar requests: of all kinds; ``failed`` are those lost that may be asked twice.
    :ivar held: requests that an HAProxy held which was itself killed or frozen, and that were lost.
    :ivar posts: acknowledged; ``refused`` those without such an answer.
    :ivar unwritten: acknowledged writes that the primary does not have in the end.
    """

    cell: str
    outcome: str = ""
    requests: int = 0
    failed: int = 0
    held: int = 0
    posts: int = 0
    refused: int = 0
    unwritten: int = 0
    late: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    reached: bool = True
    problems: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return dict(vars(self))


def every_cell(plan: str | None = None) -> list[Cell]:
    """Return the whole enumeration, in the order of the switchover."""
    plans = [plan] if plan else list(STEPS)
    return [
        Cell(one, step, *rest)
        for one in plans
        for step, *rest in product(STEPS[one], MOMENTS, TARGETS, FAULTS)
    ]


def every_stop(plan: str | None = None) -> list[Cell]:
    """Return the cells in which the controller is asked to stop, at every instruction."""
    plans = [plan] if plan else list(STEPS)
    return [
        Cell(one, step, moment, "controller", TERM)
        for one in plans
        for step, moment in product(STEPS[one], MOMENTS)
    ]


def strikes(count: int, seed: int, plans: Sequence[str]) -> Iterator[Strike]:
    """Yield processes to kill at random times: always the same ones for a seed.

    The plans follow each other, so that a fleet is used again.
    """
    chance = random.Random(seed)
    for number in range(count):
        plan = plans[number * len(plans) // count]
        yield Strike(plan, seed, number, chance.choice(VICTIMS), chance.uniform(0.0, _LONGEST))
