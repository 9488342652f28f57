"""A destination that shares the trouble of its source, or has trouble of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """A host as a machine, whatever its services say.

    :ivar domain: what it fails together with, such as its zone; empty: that is not known.
    :ivar trouble: what is wrong with it now, in words; empty: nothing that is known.
    :ivar silent: its agent does not answer, which is a trouble for its domain.
    """

    name: str
    domain: str = ""
    trouble: str = ""
    silent: bool = False

    @property
    def suffers(self) -> str:
        """Return what is wrong, also that nothing is heard of it."""
        return "does not answer" if self.silent else self.trouble


def shared_trouble(destination: Machine, source: Machine, others: Sequence[Machine]) -> str:
    """Return why it would be no better on a destination, or nothing.

    A machine that is in trouble itself is no destination. A failure domain is in trouble when two
    machines in it are: one alone is why one moves, two are no coincidence. Then no machine in it
    is a destination for what stands in it, as well as it may look.

    :param others: further machines that may be known, in whatever domain.
    """
    if destination.trouble:
        return f"{destination.name} is in trouble itself: {destination.trouble}"
    domain = destination.domain
    if not domain or source.domain != domain or not source.suffers:
        return ""
    same = [m for m in others if m.domain == domain and m.name != source.name]
    second = next((m for m in [destination, *same] if m.suffers), None)
    if second is None:
        return ""
    return (
        f"{destination.name} is in the failure domain {domain} like {source.name}, which is in "
        f"trouble: {source.name} {source.suffers}, {second.name} {second.suffers}"
    )
