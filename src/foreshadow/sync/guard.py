"""The secrets guard: keys and tokens stay where they are unless they are asked for by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

SECRETS = (
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".ssh", ".gnupg", ".aws", ".kube",
    ".env", ".env.*", "*.env", ".netrc", ".pgpass", ".my.cnf", ".htpasswd", ".git-credentials",
    ".vault_pass*", "token", "*.token", "*-token", "*_token", "tokens", "credentials",
    "credentials.json", "*.credentials", "secret", "*.secret", "*-secret", "*_secret",
    "secrets", "*.secrets", "secrets.yml", "secrets.yaml", "secrets.json", "secrets.toml",
)  # fmt: skip
"""Names of files and folders that usually hold a secret; compared without regard to case."""


class Globs:
    """Patterns that fit names or paths.

    A pattern without ``/`` fits the last name of a path. One with ``/`` fits the path from the root
    of the capture; ``*`` crosses folders there.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        rooted = [pattern.lstrip("/") for pattern in patterns if "/" in pattern]
        self._paths = _any_of(rooted)
        self._names = _any_of(pattern for pattern in patterns if "/" not in pattern)

    def fit(self, path: str) -> bool:
        """Return whether one of them fits a path."""
        name = path.rpartition("/")[2]
        return bool(self._names.match(name) or self._paths.match(path))


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


_SECRET = Globs(SECRETS)


def is_secret(path: str, included: Globs) -> bool:
    """Return whether the guard keeps a path back; ``included`` are globs that were asked for."""
    return _SECRET.fit(path.lower()) and not included.fit(path)
