"""Who may change a director of AWS, and what it showed before: a few words in a tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshadow.directors.lateness import refuse_older

_LONGEST = 256
"""Characters that AWS takes as the value of a tag."""
_WORDS = re.compile(r"^(\d+)((?: \S+=\d+)*)$")


@dataclass(frozen=True, slots=True)
class Claim:
    """A fencing token, and the weights that stood there before its owner changed any.

    :ivar before: by host, above 0; for the way back, should everybody who knew be gone.
    """

    token: int
    before: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return it as the value of a tag."""
        weights = [f" {host}={weight}" for host, weight in sorted(self.before.items()) if weight]
        whole = f"{self.token}{''.join(weights)}"
        return whole if len(whole) <= _LONGEST else str(self.token)

    def refuse_older(self, token: int, where: str) -> None:
        """Refuse a token that is older than the one in it.

        :raises FencedError: when it is.
        """
        refuse_older(token, self.token, where)


def claimed(text: str) -> Claim:
    """Return the claim in the value of a tag; what cannot be read claims nothing."""
    found = _WORDS.match(text)
    if found is None:
        return Claim(0)
    pairs = (word.rpartition("=") for word in found.group(2).split())
    return Claim(int(found.group(1)), {host: int(weight) for host, _, weight in pairs})
