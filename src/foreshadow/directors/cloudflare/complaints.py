"""What Cloudflare refused, as one line that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foreshadow.domain.errors import (
    AccessError,
    DirectorError,
    ForeshadowError,
    SpecError,
    UnknownNameError,
)

_LONGEST = 200
_NO_ROUTE = {1001, 1002, 7000, 7003}
_TOKEN = {1000, 6003, 6111, 9106, 9107, 9109}
_MISSING_RECORD = 81044
_DUPLICATES = {81053, 81054, 81055, 81056, 81057, 81058}
_QUOTA = {81045, 81046}
_TTL = {9021, 9022}


class OvertakenError(DirectorError):
    """What was to be changed is no longer as it was read: look again before anything else."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a call is about, for the lines below.

    :ivar where: the resource and the zone or pool.
    :ivar thing: the zone or pool, with its id.
    :ivar permission: what the token needs for it, as Cloudflare's token page names it.
    :ivar token: where the token is.
    """

    where: str
    thing: str
    permission: str
    token: str


def complaint(status: int, body: object, subject: Subject) -> ForeshadowError:
    """Return the error for an answer that is a refusal.

    :param status: HTTP's.
    :param body: the answer, if it was JSON.
    """
    errors = list(_errors(body))
    codes = {code for code, _ in errors}
    said = "; ".join(message for _, message in errors)[:_LONGEST] or f"HTTP {status}"
    where = subject.where
    if codes & _TTL or re.search(r"\bttl\b", said, re.IGNORECASE):
        return SpecError(
            f"the zone's plan does not allow this TTL ({said})",
            where=where,
            remedy="set ttl and armed_ttl to 60 to 86400 seconds, from 30 on an Enterprise plan, "
            "or leave ttl out for automatic",
        )
    if codes & _QUOTA or "quota has been exceeded" in said.lower():
        return DirectorError(
            f"the zone has as many records as its plan allows ({said})",
            where=where,
            remedy="delete records that nobody needs, or take a larger plan; Foreshadow keeps one "
            "record beside those of the name",
        )
    if _MISSING_RECORD in codes or codes & _DUPLICATES:
        return OvertakenError(
            f"its records are not as they were read ({said})",
            where=where,
            remedy="look for somebody else who changes them",
        )
    invalid = status == 400 or "invalid" in said.lower()
    if status == 401 or (status in (400, 403) and codes & _TOKEN and invalid):
        return AccessError(
            f"Cloudflare does not accept the API token ({said})",
            where=where,
            remedy=f"put a valid one into {subject.token}",
        )
    if status == 403:
        return AccessError(
            f"the API token may not do this ({said})",
            where=where,
            remedy=f"give it the permission {subject.permission}, for this {subject.thing}",
        )
    if status == 404 or codes & _NO_ROUTE:
        return UnknownNameError(
            f"Cloudflare knows no {subject.thing} ({said})",
            where=where,
            remedy="copy the id from Cloudflare's dashboard, and see that the token covers it",
        )
    kind = SpecError if status == 400 else DirectorError
    return kind(
        f"Cloudflare refused the change: {said}",
        where=where,
        remedy="correct the director's options or targets",
    )


def _errors(body: object) -> Iterator[tuple[int, str]]:
    """Yield code and message of each error, the causes in their chains first."""
    listed = body.get("errors") if isinstance(body, Mapping) else None
    for error in listed if isinstance(listed, Iterable) and not isinstance(listed, str) else ():
        if isinstance(error, Mapping):
            yield from _errors({"errors": error.get("error_chain")})
            code: Any = error.get("code")
            yield (code if isinstance(code, int) else 0), str(error.get("message", "no reason"))
