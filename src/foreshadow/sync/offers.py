"""What a source offers, and what a destination makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from foreshadow.domain.clock import WallTime
from foreshadow.sync.delta import Delta


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that a source offers: its whole manifest, or a delta on one that is here.

    :ivar base_root: root of the manifest that ``delta`` builds on; empty: ``delta`` is all of it.
    :ivar final: a promotion follows, which flushes the version.
    """

    source: str
    root: str
    version: int
    base_root: str
    delta: Delta
    captured_at: WallTime
    profile_json: str = ""
    dry_run: bool = False
    final: bool = False


class Verdict(Enum):
    """What the destination makes of an offer; values as on the wire."""

    UNCHANGED = 0
    SEND = 1
    WRONG_BASE = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """A content that is lacking.

    :ivar place: of the first entry with it, in the offered manifest.
    :ivar offset: from which on it is to be sent.
    :ivar base: digest of what stands at its path now, on which a patch may build; or empty.
    """

    place: int
    digest: str
    offset: int
    base: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an offer.

    :ivar wants: what is to be sent.
    :ivar number: of the version that the destination stands at; ``root`` is its root, empty when
        its files are no longer what was applied.
    """

    verdict: Verdict
    wants: tuple[Wanted, ...]
    number: int
    root: str
    files_changed: int = 0
    profile_changed: bool = False
