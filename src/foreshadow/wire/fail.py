"""Errors across the wire: a domain error becomes a gRPC status, and the same error again.

The status' details are the problem; ``foreshadow-error``, ``foreshadow-where`` and
``foreshadow-remedy`` in the trailing metadata are its code and its other two parts, the last two
percent-encoded, because metadata is ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote, unquote

import grpc

from foreshadow.domain.errors import BY_CODE, ForeshadowError

_LONGEST_PART = 2000
"""Characters: gRPC drops a call whose metadata is longer than 8 KiB."""

_STATUS = {
    "spec": grpc.StatusCode.INVALID_ARGUMENT,
    "unknown_name": grpc.StatusCode.NOT_FOUND,
    "access": grpc.StatusCode.PERMISSION_DENIED,
    "fenced": grpc.StatusCode.ABORTED,
}

Metadata = tuple[tuple[str, str], ...]


class FailedCall(Protocol):
    """What a failed call tells, with the blocking and the asynchronous client alike."""

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        ...

    def details(self) -> str | None:
        """Return the status' text."""
        ...

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Return what the server sent after its status."""
        ...


def to_status(error: ForeshadowError) -> tuple[grpc.StatusCode, str, Metadata]:
    """Return the status, details and trailing metadata that carry a domain error."""
    metadata = (
        ("foreshadow-error", error.code),
        ("foreshadow-where", quote(error.where[:_LONGEST_PART], safe=" /:,")),
        ("foreshadow-remedy", quote(error.remedy[:_LONGEST_PART], safe=" /:,")),
    )
    status = _STATUS.get(error.code, grpc.StatusCode.FAILED_PRECONDITION)
    return status, error.problem[:_LONGEST_PART], metadata


def from_status(call: FailedCall) -> ForeshadowError | None:
    """Return the domain error that a failed call carries, or ``None`` when it carries none."""
    metadata = {key: str(value) for key, value in call.trailing_metadata() or ()}
    kind = BY_CODE.get(metadata.get("foreshadow-error", ""))
    if kind is None:
        return None
    return kind(
        call.details() or "",
        where=unquote(metadata.get("foreshadow-where", "")),
        remedy=unquote(metadata.get("foreshadow-remedy", "")),
    )
