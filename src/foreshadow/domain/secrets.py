"""Telling a secret by its looks, so that none is stored, shown or logged.

The spec has no place for secrets; options that drivers read, and a service's environment, could
hold one. They are refused with the way out: name an environment variable or a file instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from foreshadow.domain.errors import SpecError

if TYPE_CHECKING:  # the spec's own error texts ask here what may be shown
    from foreshadow.domain.spec import ResourceSpec

_SECRET = {"token", "password", "passwd", "passphrase", "secret", "secrets", "credential",
           "credentials", "apikey", "authorization", "cookie", "bearer"}  # fmt: skip
_KEY_OF = {"api", "private", "access", "secret", "auth", "signing", "tsig", "encryption"}
_REFERENCE = {"file", "path", "env", "name", "variable", "arn", "id", "ttl", "url"}
"""The last word of a key that only says where the secret is, or something about it."""
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"  # a password in a URL
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
)
_WAY_OUT = "name the environment variable or the file that holds it instead"


def refuse_secrets(spec: ResourceSpec) -> None:
    """Refuse a spec that holds what looks like a secret.

    :raises SpecError: names the place, and never shows the value.
    """
    for place, options in _places(spec):
        found = secret_in(options, place)
        if found is not None:
            raise SpecError(
                "looks like a secret, and the ledger keeps none",
                where=f"resource {spec.name}, {found}",
                remedy=_WAY_OUT,
            )


def _places(spec: ResourceSpec) -> Iterator[tuple[str, Any]]:
    yield "service.environment", spec.service.environment
    yield "service.command", list(spec.service.command)
    for name, parts in (
        ("state", spec.state),
        ("directors", spec.directors),
        ("metrics.sources", spec.metrics.sources),
    ):
        for i, part in enumerate(parts):
            yield f"{name}[{i}]", part.options()


def secret_in(value: object, place: str) -> str | None:
    """Return the place of the first secret in nested mappings and lists, or ``None``."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = f"{place}.{key}"
            if _names_a_secret(str(key)) and inner not in (None, "", False, True):
                return at
            if (found := secret_in(inner, at)) is not None:
                return found
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            if (found := secret_in(inner, f"{place}[{i}]")) is not None:
                return found
    elif isinstance(value, str) and _VALUE.search(value):
        return place
    return None


def _names_a_secret(key: str) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or words[-1] in _REFERENCE:
        return False
    keys = any(a in _KEY_OF and b == "key" for a, b in pairwise(words))
    return keys or not _SECRET.isdisjoint(words)
