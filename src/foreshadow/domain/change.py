"""What an operation would do, as one value that check mode, diff mode and apply share.

An operation is built in two moves: reading the world gives a :class:`Change`; calling
:meth:`Change.apply` makes it so. Check mode simply never calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Plain = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A planned change.

    :ivar before: what is there, as plain JSON types; what diff mode shows on the left.
    :ivar after: what will be there; equal to ``before`` means that there is nothing to do.
    :ivar preview: what the operation returns when it is not applied.
    :ivar perform: does it, and gives what the operation returns; called at most once, and only
        when something differs.
    :ivar upkeep: is called instead when nothing differs: what is due all the same and is no change,
        such as writing down that a shadow was seen to be up to date.
    """

    before: Plain
    after: Plain
    preview: Plain = field(default_factory=dict)
    perform: Callable[[], Plain] | None = None
    upkeep: Callable[[], Plain] | None = None

    @property
    def changed(self) -> bool:
        """Return whether there is anything to do."""
        return self.before != self.after

    @property
    def diff(self) -> dict[str, Plain]:
        """Return both sides, as Ansible's diff mode shows them."""
        return {"before": self.before, "after": self.after}

    def apply(self) -> Plain:
        """Make it so and return the result; with nothing to do, return the preview."""
        due = self.perform if self.changed else self.upkeep
        return self.preview if due is None else due()
