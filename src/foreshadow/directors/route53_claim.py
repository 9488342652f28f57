"""What a director remembers in a TXT record beside its own: ``_foreshadow.<name>``.

It is written in the same transaction as the weights, and only over what was read: who comes late
changes nothing, and another process knows the same as the one that made a change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from foreshadow.directors.lateness import refuse_older
from foreshadow.domain.clock import WallTime
from foreshadow.domain.errors import DirectorError

_STRING = re.compile(r'"([^"]*)"')
_NEVER = WallTime(0.0)


@dataclass(frozen=True, slots=True)
class Memory:
    """What stands in the TXT record; times are whole seconds.

    :ivar token: the newest fencing token that changed anything; 0 before the first.
    :ivar ready: the hosts that were admitted and not retired since.
    :ivar before: weights by host before the token's owner changed any: for the way back.
    :ivar kept: by host that lost its traffic, until when its address may be in a cache.
    :ivar stale: until when answers with a TTL that was lowered since may be in a cache.
    :ivar moved: when the weights were last changed.
    """

    resource: str
    token: int = 0
    ready: frozenset[str] = frozenset()
    before: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, WallTime] = field(default_factory=dict)
    stale: WallTime = _NEVER
    moved: WallTime = _NEVER

    def claimed_by(self, token: int, weights: Mapping[str, int]) -> Memory:
        """Return it with a token that is as new or newer, and what that found when it came."""
        if token == self.token:
            return self
        return replace(self, token=token, before=dict(weights))

    def refuse_older(self, token: int, where: str) -> None:
        """Refuse a token that is older than the one in it.

        :raises FencedError: when it is.
        """
        refuse_older(token, self.token, where)

    def strings(self) -> list[str]:
        """Return it as the strings of a TXT record, each short enough for one."""
        return [
            "foreshadow",
            f"resource={self.resource}",
            f"token={self.token}",
            *(f"ready={host}" for host in sorted(self.ready)),
            *(f"before={weight}@{host}" for host, weight in sorted(self.before.items())),
            *(f"kept={at:.0f}@{host}" for host, at in sorted(self.kept.items())),
            *([f"stale={self.stale:.0f}"] if self.stale else []),
            *([f"moved={self.moved:.0f}"] if self.moved else []),
        ]

    def value(self) -> str:
        """Return it as the value of a TXT record."""
        return " ".join(f'"{text}"' for text in self.strings())


def remembered(values: Sequence[str], resource: str, where: str) -> Memory:
    """Return what the values of a TXT record say.

    :raises DirectorError: when it is another resource's, or nobody of ours wrote it.
    """
    strings = _STRING.findall(values[0]) if len(values) == 1 else []
    if not strings:
        raise _foreign("is not written by Foreshadow", where)
    marker, *pairs = strings
    words = [pair.partition("=")[::2] for pair in pairs]
    owner = next((value for key, value in words if key == "resource"), "")
    if marker != "foreshadow" or not owner:
        raise _foreign("is not written by Foreshadow", where)
    if owner != resource:
        raise _foreign(f"belongs to the resource {owner}", where)
    try:
        return _read(resource, words)
    except ValueError:
        raise _foreign("cannot be read", where) from None


def _read(resource: str, words: Sequence[tuple[str, str]]) -> Memory:
    def of(key: str) -> list[str]:
        return [value for name, value in words if name == key]

    def by_host(key: str) -> dict[str, float]:
        pairs = (value.partition("@") for value in of(key))
        return {host: float(number) for number, _, host in pairs}

    return Memory(
        resource=resource,
        token=int((of("token") or ["0"])[0]),
        ready=frozenset(of("ready")),
        before={host: int(weight) for host, weight in by_host("before").items()},
        kept={host: WallTime(at) for host, at in by_host("kept").items()},
        stale=WallTime(float((of("stale") or ["0"])[0])),
        moved=WallTime(float((of("moved") or ["0"])[0])),
    )


def _foreign(what: str, where: str) -> DirectorError:
    return DirectorError(
        f"its TXT record {what}", where=where, remedy="remove that record if nobody needs it"
    )
