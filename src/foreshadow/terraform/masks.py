"""Hiding secrets in what Terraform says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from foreshadow.domain.secrets import secret_in

HIDDEN = "(hidden)"
_SHORTEST = 4
"""Hiding every `1` of a text would say more than it hides."""


class Mask:
    """Hides what looks like a secret among variables and the environment.

    :param variables: nested mappings and lists; a value counts when its key names a secret.
    """

    def __init__(self, *variables: Mapping[str, Any]) -> None:
        found = {text for one in variables for text in _secrets(one) if len(text) >= _SHORTEST}
        # The longest first: one secret may be the beginning of another.
        self._secrets = sorted(found, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _secrets(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            # What lies below a secret key is secret: its own keys say nothing about that.
            yield from _secrets(inner, key if _is_secret(key, "x") else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner, key)
    elif value is not None and not isinstance(value, bool) and _is_secret(key, str(value)):
        yield str(value)


def _is_secret(key: str, value: str) -> bool:
    return secret_in({key.removeprefix("TF_VAR_"): value}, "") is not None
