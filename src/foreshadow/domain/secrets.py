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
_SHORTEST = 3
"""Characters of the shortest secret that is hidden: a shorter one would hide half of every line."""
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
    return next((at for at, _ in _secrets_in(value, place)), None)


def secret_values(value: object) -> set[str]:
    """Return what looks like a secret in nested mappings and lists, to be kept out of a log."""
    return {
        str(leaf)
        for _, found in _secrets_in(value, "")
        for leaf in _leaves(found)
        if len(str(leaf)) >= _SHORTEST
    }


def _secrets_in(value: object, place: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            at = f"{place}.{key}"
            if _names_a_secret(str(key)) and inner not in (None, "", False, True):
                yield at, inner
            else:
                yield from _secrets_in(inner, at)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            given = _given_secret(inner, value[i + 1] if i + 1 < len(value) else "")
            if given:
                yield f"{place}[{i}]", given
            else:
                yield from _secrets_in(inner, f"{place}[{i}]")
    elif isinstance(value, str) and _VALUE.search(value):
        yield place, value


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _given_secret(word: object, following: object) -> str:
    """Return the secret that a word of a command brings, as ``--password=x`` or the next word."""
    if not isinstance(word, str) or not word.startswith("-"):
        return ""
    option, equals, value = word.partition("=")
    given = value if equals else str(following)
    if not _names_a_secret(option) or given.startswith(("/", "{", "$", "-")):
        return ""
    return given


def _names_a_secret(key: str) -> bool:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or words[-1] in _REFERENCE:
        return False
    keys = any(a in _KEY_OF and b == "key" for a, b in pairwise(words))
    return keys or not _SECRET.isdisjoint(words)
