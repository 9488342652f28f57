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
        refuse_secret_in({place: options}, f"resource {spec.name}")


def refuse_secret_in(options: Mapping[str, Any], where: str) -> None:
    """Refuse options that hold what looks like a secret.

    :param options: by the place that is told.
    :raises SpecError: names the place, and never shows the value.
    """
    for place, value in options.items():
        found = secret_in(value, place)
        if found is not None:
            raise SpecError(
                "looks like a secret, and the ledger keeps none",
                where=f"{where}, {found}",
                remedy=_WAY_OUT,
            )


def _places(spec: ResourceSpec) -> Iterator[tuple[str, Any]]:
    service = spec.service
    yield "service.environment", service.environment
    yield "service.command", service.command
    yield "service.health.command", service.health.command
    for hook, command in service.hooks.model_dump().items():
        yield f"service.hooks.{hook}", command
    if service.profile is not None:
        yield "service.profile", service.profile.model_dump()
    yield "placement.labels", spec.placement.labels
    yield "metrics.utilization", spec.metrics.utilization and spec.metrics.utilization.query
    yield "metrics.latency", spec.metrics.latency and spec.metrics.latency.query
    for kind, metric in spec.metrics.demand.items():
        yield f"metrics.demand.{kind}", metric.query
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
            if _gives_a_secret(inner, value[i + 1] if i + 1 < len(value) else ""):
                return f"{place}[{i}]"
            if (found := secret_in(inner, f"{place}[{i}]")) is not None:
                return found
    elif isinstance(value, str) and _VALUE.search(value):
        return place
    return None


def _gives_a_secret(word: object, following: object) -> bool:
    """Return whether a word of a command is an option with a secret: ``--password=x``, or ``x``."""
    if not isinstance(word, str) or not word.startswith("-"):
        return False
    option, equals, value = word.partition("=")
    given = value if equals else str(following)
    # A path, a placeholder, a variable and the next option are no secrets.
    return _names_a_secret(option) and bool(given) and not given.startswith(("/", "{", "$", "-"))


def _names_a_secret(key: str) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or words[-1] in _REFERENCE:
        return False
    keys = any(a in _KEY_OF and b == "key" for a, b in pairwise(words))
    return keys or not _SECRET.isdisjoint(words)
