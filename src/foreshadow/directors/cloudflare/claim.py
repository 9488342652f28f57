"""What stands beside the records in the zone itself: whose they are, and what was last done.

A TXT record at ``_foreshadow.<name>``. Cloudflare has no compare-and-swap, but a batch is one
transaction and fails when it deletes what is not there. So each change deletes the claim that was
read and makes a new one, in the same batch as the records themselves: of two actors who read the
same, one wins and the other changes nothing, and a batch that is sent twice is done once.

Anybody can ask for a TXT record, so hosts stand in it by a digest; the resource is named in the
comment, which only the dashboard and the API show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from blake3 import blake3

from foreshadow.domain.clock import WallTime

ANY = "any"
"""In ``kept``: answers with whatever address, fetched before the TTL was lowered."""

_NEVER = WallTime(0.0)
_VERSION = "foreshadow=1"
_MARK = re.compile(r"foreshadow/(\S+) token=(\d+)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LONGEST_STRING = 250


def mark(resource: str, token: int) -> str:
    """Return the comment of a record of ours: at most 100 characters, as every plan allows."""
    return f"{mark_start(resource)}token={token}"


def mark_start(resource: str) -> str:
    """Return how the comment of each record of a resource begins."""
    return f"foreshadow/{resource} "


def marked_token(comment: str, resource: str) -> int | None:
    """Return the token in the comment of a record of ours, ``None`` when it is none of ours."""
    found = _MARK.fullmatch(comment)
    return int(found[2]) if found and found[1] == resource else None


def digest(host: str) -> str:
    """Return what stands for a host in the claim."""
    return blake3(host.encode()).hexdigest(6)


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim on one name.

    :ivar write: the random name of the change that made it, by which its author knows it again.
    :ivar since: when the records were last made to lead elsewhere; 0 while they never were.
    :ivar ttl: what the records' TTL was set to, when that is not what the spec says.
    :ivar ready: digests of the hosts that may be led to.
    :ivar kept: by digest of a host that left, or ``any``, until when its answers may be kept.
    """

    token: int = 0
    write: str = ""
    since: WallTime = _NEVER
    ttl: float | None = None
    ready: frozenset[str] = frozenset()
    kept: Mapping[str, WallTime] = field(default_factory=dict)

    def ready_for(self, host: str) -> bool:
        """Return whether a host may be led to."""
        return digest(host) in self.ready

    def kept_until(self, host: str) -> WallTime:
        """Return until when answers with a host that left may be kept; 0 when it never did."""
        return self.kept.get(digest(host), _NEVER)

    def admitting(self, host: str) -> Claim:
        """Return it with a host that may be led to."""
        return replace(self, ready=self.ready | {digest(host)})

    def retiring(self, host: str) -> Claim:
        """Return it with a host that may no longer be led to."""
        return replace(self, ready=self.ready - {digest(host)})

    def content(self, kept_from_now: Mapping[str, float], *, moved: bool) -> str:
        """Return the content of its TXT record.

        "Now" in it is the moment at which Cloudflare writes it, by Cloudflare's clock.

        :param kept_from_now: by digest or ``any``, seconds from now.
        :param moved: the records begin to lead elsewhere now.
        """
        words = [_VERSION, f"token={self.token}", f"write={self.write}"]
        words += ["since=now"] if moved else [f"since={self.since:.3f}"]
        words += [f"ttl={self.ttl:g}"] if self.ttl is not None else []
        words += [f"ready={one}" for one in sorted(self.ready)]
        words += [
            f"kept={one}@{until:.3f}"
            for one, until in sorted(self.kept.items())
            if one not in kept_from_now
        ]
        words += [f"kept={one}+{seconds:g}" for one, seconds in sorted(kept_from_now.items())]
        return _quoted(words)


def read_claim(content: str, written_at: WallTime) -> Claim:
    """Return the claim in the content of a TXT record.

    :param written_at: when the record was written, by Cloudflare's clock.
    :raises ValueError: when it cannot be read.
    """
    text = "".join(_STRING.findall(content)) if content.startswith('"') else content
    version, *words = text.split(" ")
    if version != _VERSION:
        raise ValueError(f"it begins with {version[:20]!r}")
    pairs = [word.partition("=")[::2] for word in words]
    single = dict(pairs)
    try:
        return Claim(
            token=int(single["token"]),
            write=single["write"],
            since=written_at if single["since"] == "now" else WallTime(float(single["since"])),
            ttl=float(single["ttl"]) if "ttl" in single else None,
            ready=frozenset(value for key, value in pairs if key == "ready"),
            kept=dict(_kept(value, written_at) for key, value in pairs if key == "kept"),
        )
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from None


def _kept(text: str, written_at: WallTime) -> tuple[str, WallTime]:
    who, plus, seconds = text.partition("+")
    if plus:
        return who, WallTime(written_at + float(seconds))
    who, _, until = text.partition("@")
    return who, WallTime(float(until))


def _quoted(words: list[str]) -> str:
    """Return the words as character strings of a TXT record, none too long."""
    text = " ".join(words)
    parts = [text[at : at + _LONGEST_STRING] for at in range(0, len(text), _LONGEST_STRING)]
    return " ".join(f'"{part}"' for part in parts)
