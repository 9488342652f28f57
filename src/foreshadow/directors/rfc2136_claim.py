"""What stands beside a record in the zone itself: whose it is, and what was last done with it.

A TXT record at ``_foreshadow.<name>``. It changes together with the record, in one update whose
prerequisite is that it is still what was read: that makes a compare-and-set of every change, and
lets a controller that comes later know what an earlier one did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from foreshadow.domain.clock import WallTime

LABEL = "_foreshadow"
ANY = "*"
"""In ``kept``: answers with any address, fetched before the TTL was lowered."""
_MARK = "foreshadow=1"
_OPEN = "?"


@dataclass(frozen=True, slots=True)
class Kept:
    """How long answers of before a change may be kept.

    :ivar ttl: seconds, as they were given.
    :ivar until: wall time; ``None`` until every server is known to have followed.
    """

    ttl: float
    until: WallTime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One record's claim.

    :ivar kind: the record's type; a name may have one claim for each.
    :ivar owner: the resource.
    :ivar by: the process that changed it last.
    :ivar serial: grows with each change, so that an update that was held up on its way is refused.
    :ivar at: the host that the record was last made to lead to; empty while it was never changed.
    :ivar ready: hosts that may be led to.
    :ivar kept: by host that left the record, or ``*``, how long answers of before may be kept.
    """

    kind: str
    owner: str
    token: int
    by: str
    serial: int = 0
    at: str = ""
    ready: tuple[str, ...] = ()
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def strings(self) -> list[str]:
        """Return the strings of its TXT record."""
        out = [_MARK, f"type={self.kind}", f"owner={self.owner}", f"token={self.token}",
               f"by={self.by}", f"serial={self.serial}"]  # fmt: skip
        out += [f"at={self.at}"] if self.at else []
        out += [f"ready={host}" for host in self.ready]
        for host, kept in self.kept.items():
            until = _OPEN if kept.until is None else f"{kept.until:.3f}"
            out.append(f"kept={host} {kept.ttl:g} {until}")
        return out

    def same_but_serial(self, other: Claim) -> bool:
        """Return whether both say the same."""
        return replace(self, serial=0) == replace(other, serial=0)

    def admitting(self, host: str) -> Claim:
        """Return it with a host that may be led to."""
        return replace(self, ready=tuple(sorted({*self.ready, host})))

    def retiring(self, host: str) -> Claim:
        """Return it with a host that may no longer be led to."""
        return replace(self, ready=tuple(name for name in self.ready if name != host))

    def leading_to(self, host: str, left: Mapping[str, float], now: WallTime) -> Claim:
        """Return it as it is once the record leads to a host.

        :param left: by host that leaves the record, the TTL that its answers had.
        """
        kept = {h: k for h, k in self.kept.items() if h != host and not _over(k, now)}
        for name, ttl in left.items():
            before = kept.get(name, Kept(0.0)).ttl
            kept[name] = Kept(max(ttl, before))
        ready = tuple(sorted({*self.ready, host, *left}))
        return replace(self, at=host, ready=ready, kept=kept)

    def lowering(self, ttl: float, now: WallTime) -> Claim:
        """Return it as it is while the record's TTL is lowered from ``ttl``."""
        kept = {h: k for h, k in self.kept.items() if not _over(k, now)}
        kept[ANY] = Kept(max(ttl, kept.get(ANY, Kept(0.0)).ttl))
        return replace(self, kept=kept)

    def followed(self, now: WallTime, floor: float) -> Claim:
        """Return it as it is once every server has followed the last change."""
        kept = {
            host: k if k.until is not None else Kept(k.ttl, runs_out(k.ttl, now, floor))
            for host, k in self.kept.items()
        }
        return replace(self, kept=kept)


def runs_out(ttl: float, since: WallTime, floor: float) -> WallTime:
    """Return until when an answer may be kept that was given just before ``since``.

    Caches count whole seconds, so one more is allowed for.
    """
    return WallTime(round(since + max(ttl, floor) + 1.0, 3))


def read_claim(strings: Sequence[str]) -> Claim | None:
    """Return the claim in a TXT record, or ``None`` when it is none of ours.

    :raises ValueError: when it is ours and cannot be read.
    """
    if not strings or strings[0] != _MARK:
        return None
    pairs = [text.partition("=")[::2] for text in strings[1:]]
    single = dict(pairs)
    try:
        return Claim(
            kind=single["type"],
            owner=single["owner"],
            token=int(single["token"]),
            by=single["by"],
            serial=int(single["serial"]),
            at=single.get("at", ""),
            ready=tuple(value for key, value in pairs if key == "ready"),
            kept=dict(_kept(value) for key, value in pairs if key == "kept"),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from None


def _kept(text: str) -> tuple[str, Kept]:
    host, ttl, until = text.split(" ")
    return host, Kept(float(ttl), None if until == _OPEN else WallTime(float(until)))


def _over(kept: Kept, now: WallTime) -> bool:
    return kept.until is not None and kept.until <= now
